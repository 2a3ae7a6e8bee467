"""Calendar feeds: secret URLs at which calendars read the shifts of a schedule, or one's own of all schedules."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from ims.accounts.models import UserAccount
from ims.accounts.passwords import hash_token
from ims.audit.log import record
from ims.core.context import Context
from ims.core.errors import Conflict, NotFound
from ims.core.principal import Role
from ims.oncall.models import CalendarFeed
from ims.oncall.queries import all_schedules, schedule_named, shifts_of
from ims.policy.rotations import Shift

BEFORE: Final = timedelta(days=28)
AHEAD: Final = timedelta(days=92)
MOST_FEEDS: Final = 20
_RANDOM_BYTES: Final = 32


class NoSuchFeed(NotFound):
    """You have no such calendar feed."""


class TooManyFeeds(Conflict):
    """You have 20 calendar feeds: revoke one first."""


@dataclass(frozen=True, slots=True)
class NewFeed:
    """A feed that was just created; this is the only time its token is known."""

    id: int
    token: str


@dataclass(frozen=True, slots=True)
class FeedContent:
    """What a feed shows: shifts by the name of their schedule."""

    title: str
    shifts: Sequence[tuple[str, Shift]]


def create_feed(context: Context, schedule: str | None) -> NewFeed:
    """Create a feed for the principal's own account: of one schedule, or of the account's own shifts.

    Raises `NoSuchSchedule`, `TooManyFeeds`.
    """
    context.require(Role.VIEWER)
    account = context.principal.account
    if schedule is not None:
        schedule_named(context.session, schedule)
    own = select(func.count()).select_from(CalendarFeed).where(CalendarFeed.user_id == account)
    if context.session.scalar(own) == MOST_FEEDS:
        raise TooManyFeeds
    token = secrets.token_urlsafe(_RANDOM_BYTES)
    feed = CalendarFeed(hash=hash_token(token), user_id=account, schedule=schedule, created_at=context.now)
    context.session.add(feed)
    context.session.flush()
    record(context, "calendar.created", _name(feed.schedule), after={"schedule": schedule})
    return NewFeed(feed.id, token)


def revoke_feed(context: Context, feed_id: int) -> None:
    """Revoke a feed of the principal's own account: its URL stops working. Raises `NoSuchFeed`."""
    context.require(Role.VIEWER)
    own = (CalendarFeed.id == feed_id) & (CalendarFeed.user_id == context.principal.account)
    revoked = context.session.execute(delete(CalendarFeed).where(own).returning(CalendarFeed.schedule)).one_or_none()
    if revoked is None:
        raise NoSuchFeed
    record(context, "calendar.revoked", _name(revoked.schedule), before={"schedule": revoked.schedule})


def _name(schedule: str | None) -> str:
    return schedule or "own shifts"


def feeds_of(session: Session, principal_name: str) -> Sequence[CalendarFeed]:
    """The feeds of an account, in the order of their creation."""
    owner = select(UserAccount.id).where(UserAccount.name == principal_name).scalar_subquery()
    return session.scalars(select(CalendarFeed).where(CalendarFeed.user_id == owner).order_by(CalendarFeed.id)).all()


def read_feed(session: Session, token: str, now: datetime) -> FeedContent:
    """What the feed with this token shows. Raises `NoSuchFeed`, also if its account is disabled."""
    row = session.execute(
        select(CalendarFeed.schedule, UserAccount.name)
        .join(UserAccount, UserAccount.id == CalendarFeed.user_id)
        .where(CalendarFeed.hash == hash_token(token), UserAccount.disabled_at.is_(None))
    ).one_or_none()
    if row is None:
        raise NoSuchFeed
    # From one midnight to another, so that a calendar that reads it every hour gets the same events all day.
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    wanted = [one for one in all_schedules(session) if row.schedule in (None, one.name)]
    found = [
        (one.name, shift)
        for one in wanted
        for shift in shifts_of(session, one, day - BEFORE, day + AHEAD)
        if row.schedule is not None or shift.person == row.name
    ]
    return FeedContent(f"On call: {row.schedule or row.name}", found)
