"""Pages: who is on call, schedules with their shifts and overrides, and calendar feeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as AnyResponse

from ims.accounts.people.queries import names_of_people
from ims.core.errors import FieldError, IMSError, Invalid
from ims.core.principal import Role
from ims.core.validation import one_line
from ims.http.authentication import allow, public, signed_in, use_case
from ims.http.requests import with_secret_path
from ims.http.resources import clock, settings, transaction
from ims.oncall.calculator import OnCall
from ims.oncall.calendar import to_ical
from ims.oncall.feeds import create_feed, feeds_of, read_feed, revoke_feed
from ims.oncall.queries import all_schedules, on_call_by, schedule_named, shifts_of
from ims.oncall.usecases import REASON_LENGTH, NewOverride, cancel_override, override
from ims.policy.rotations import Shift, reached
from ims.policy.schedules import Schedule

oncall = Blueprint("oncall", __name__)

AHEAD: Final = timedelta(days=28)
PAGE_ROWS: Final = 12
MOST_DRAWN: Final = 90
"""Shifts of a strip: three a day for 28 days; with more handoffs it shows fewer days."""
MOST_LISTED: Final = 80


@dataclass(frozen=True, slots=True)
class Block:
    """One shift of a strip; its place in percent."""

    shift: Shift
    left: float
    width: float
    is_even: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Strip:
    """The shifts of a schedule from now on, on a time axis."""

    blocks: Sequence[Block]
    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class OnPage:
    """A schedule on the page."""

    schedule: Schedule
    now: OnCall
    strip: Strip
    may_change: bool


@oncall.get("/on-call")
def index() -> str:
    """Who is on call by each schedule, and the strips of the next 28 days, paginated."""
    return _index_page()


def _index_page(new_feed: str = "", message: str = "") -> str:
    now, after = clock(), request.args.get("after", "")
    with transaction() as session:
        found = [one for one in all_schedules(session) if one.name > after]
        shown = [_shown(session, one, now) for one in found[:PAGE_ROWS]]
        feeds = feeds_of(session, signed_in().name)
        people = names_of_people(session)
    return render_template(
        "oncall/list.html",
        shown=shown,
        after=found[PAGE_ROWS - 1].name if len(found) > PAGE_ROWS else None,
        is_first=not after,
        feeds=feeds,
        names=[one.name for one in found],
        people=people,
        local=_local,
        field_time=_field_time,
        new_feed=new_feed,
        message=message,
    )


def _shown(session: Session, schedule: Schedule, now: datetime) -> OnPage:
    found = shifts_of(session, schedule, now, now + AHEAD)[:MOST_DRAWN]
    may_change = signed_in().may_act_on(schedule.team, None)
    return OnPage(schedule, on_call_by(session, schedule, now), _strip(schedule, found), may_change)


def _strip(schedule: Schedule, found: Sequence[Shift]) -> Strip:
    begins, ends = found[0].begins, found[-1].ends
    people = schedule.people
    blocks = [
        Block(
            shift=one,
            left=(one.begins - begins) / (ends - begins) * 100,
            width=(one.ends - one.begins) / (ends - begins) * 100,
            is_even=one.person in people and people.index(one.person) % 2 == 0,
            sentence=f"{one.person or 'Nobody'} from {_local(one.begins, schedule)} to {_local(one.ends, schedule)}",
        )
        for one in found
    ]
    return Strip(blocks, begins, ends)


@oncall.get("/on-call/<name>")
def one(name: str) -> str:
    """The shifts of one schedule. Raises `NoSuchSchedule`."""
    return _one_page(name)


def _one_page(name: str, values: Mapping[str, str] | None = None, wrong: object = (), message: str = "") -> str:
    now = clock()
    with transaction() as session:
        schedule = schedule_named(session, name)
        found = shifts_of(session, schedule, now, now + AHEAD)
        shown = _shown(session, schedule, now)
        people = names_of_people(session)
    return render_template(
        "oncall/one.html",
        shown=shown,
        shifts=found[:MOST_LISTED],
        hidden=len(found[MOST_LISTED:]),
        people=people,
        local=_local,
        field_time=_field_time,
        values=values or {},
        wrong=wrong,
        message=message,
    )


@oncall.post("/on-call/<name>/overrides")
def add_override(name: str) -> AnyResponse | tuple[str, int]:
    """Put a person on call. Raises `NoSuchSchedule`, `NotYourSchedule`."""
    form = request.form
    try:
        with use_case() as context:
            zone = schedule_named(context.session, name).zone
            stored = override(context, name, _wanted(form, zone))
    except IMSError as error:
        if not isinstance(error, Invalid):
            raise
        return _one_page(name, form, error.fields, "" if error.fields else error.message), error.status
    flash(f"{stored.person} takes over.")
    return redirect(url_for(".one", name=name))


def _wanted(form: Mapping[str, str], zone: ZoneInfo) -> NewOverride:
    """The override of a form, whose times are local times of the schedule. Raises `Invalid`."""
    faults: list[FieldError] = []
    times = {}
    for field in ("from", "to"):
        try:
            wall = datetime.fromisoformat(form.get(field, ""))
            times[field] = wall.astimezone(UTC) if wall.tzinfo else reached(wall, zone)
        except (ValueError, OverflowError):
            faults.append(FieldError(field, "must be a time such as 2026-03-01T02:00"))
    reason = form.get("reason", "").strip()
    try:
        one_line(reason)
    except ValueError as error:
        faults.append(FieldError("reason", str(error)))
    if len(reason) > REASON_LENGTH:
        faults.append(FieldError("reason", f"may have at most {REASON_LENGTH} characters"))
    person = form.get("person", "").strip()
    if not person or "\0" in person:
        faults.append(FieldError("person", "is not an account that may sign in"))
    if faults:
        raise Invalid(fields=faults)
    return NewOverride(person, times["from"], times["to"], reason)


@oncall.post("/on-call/<name>/overrides/<int:override_id>/cancel")
def cancel(name: str, override_id: int) -> AnyResponse:
    """Cancel an override. Raises `NoSuchSchedule`, `NotYourSchedule`, `NoSuchOverride`."""
    with use_case() as context:
        cancel_override(context, name, override_id)
    flash(f"Override {override_id} has been cancelled.")
    return redirect(url_for(".one", name=name))


@oncall.post("/on-call/calendars")
@allow(Role.VIEWER)
def add_calendar() -> str:
    """Create a feed. Only this response contains its URL. Raises `NoSuchSchedule`, `TooManyFeeds`."""
    with use_case() as context:
        new = create_feed(context, request.form.get("schedule") or None)
    return _index_page(f"{settings().web_url.rstrip('/')}{url_for('.calendar', token=new.token)}")


@oncall.post("/on-call/calendars/<int:feed_id>/revoke")
@allow(Role.VIEWER)
def revoke_calendar(feed_id: int) -> AnyResponse:
    """Revoke a feed of one's own. Raises `NoSuchFeed`."""
    with use_case() as context:
        revoke_feed(context, feed_id)
    flash("The calendar feed has been revoked.")
    return redirect(url_for(".index"))


@oncall.get("/calendar/<token>.ics")
@public
@with_secret_path
def calendar(token: str) -> Response:
    """The shifts as an iCalendar file. The secret URL is what authorises it. Raises `NoSuchFeed`."""
    now = clock()
    with transaction() as session:
        content = read_feed(session, token, now)
    return Response(to_ical(content, now), content_type="text/calendar; charset=utf-8")


def _local(instant: datetime, schedule: Schedule) -> str:
    """A time for people, in the schedule's time zone."""
    return f"{instant.astimezone(schedule.zone):%a %d %b %H:%M}"


def _field_time(instant: datetime, schedule: Schedule) -> str:
    """A time as the value of a field `datetime-local`, in the schedule's time zone."""
    return f"{instant.astimezone(schedule.zone):%Y-%m-%dT%H:%M}"
