"""Changes of who is on call: overrides and swaps by people. Everything else stands in the policy."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from ims.accounts.queries import account_by_name
from ims.audit.log import record
from ims.core.context import Context
from ims.core.errors import Conflict, FieldError, Forbidden, NotFound, Unprocessable
from ims.core.principal import Role
from ims.core.wording import iso
from ims.oncall.models import StoredOverride
from ims.oncall.queries import on_call_by, schedule_named
from ims.policy.rotations import Shift
from ims.policy.schedules import Schedule

LONGEST_OVERRIDE: Final = timedelta(days=92)
FURTHEST: Final = timedelta(days=3660)
"""How far ahead an override may end."""
REASON_LENGTH: Final = 200
_LOCK: Final = 0x494D534F
"""Key of the advisory lock that serialises overrides ("IMSO")."""


class NotYourSchedule(Forbidden):
    """This schedule belongs to another team: only its members and administrators may override it."""


class NoSuchOverride(NotFound):
    """There is no such override of this schedule, or it was cancelled."""


class NothingToSwap(Conflict):
    """These two shifts cannot be swapped."""


@dataclass(frozen=True, slots=True)
class NewOverride:
    """A person who takes the place of whoever is on call, from `begins` to `ends`."""

    person: str
    begins: datetime
    ends: datetime
    reason: str = ""


def override(context: Context, schedule: str, wanted: NewOverride) -> StoredOverride:
    """Put a person on call for a time, at the earliest from now on.

    Raises `NoSuchSchedule`, `NotYourSchedule`, and `Unprocessable` for an unknown person or a time that is over, empty,
    too long or too far ahead.
    """
    _changeable(context, schedule)
    if faults := _faults(context.session, wanted, context.now):
        raise Unprocessable("The override is invalid and was not added.", fields=faults)
    stored = _store(context, schedule, replace(wanted, begins=max(wanted.begins, context.now)))
    record(context, "schedule.overridden", schedule, after=_described(stored))
    return stored


def swap(context: Context, schedule: str, first: datetime, second: datetime) -> tuple[StoredOverride, StoredOverride]:
    """Swap two shifts: whoever is on call at `first` takes the shift at `second`, and the other way round.

    A shift that has begun is swapped from now on. Raises `NoSuchSchedule`, `NotYourSchedule`, and `NothingToSwap` if
    nobody is on call at one of the times, both shifts are one person's, or one is over.
    """
    known = _changeable(context, schedule)
    faults = [
        FieldError(name, "is too far in the past or the future")
        for name, given in (("first", first), ("second", second))
        if abs(given - context.now) > FURTHEST
    ]
    if faults:
        raise Unprocessable(fields=faults)
    one, other = (_shift_at(context, known, instant) for instant in (first, second))
    if one.person == other.person:
        raise NothingToSwap(f"Both shifts are {one.person}'s.")
    made = tuple(
        _store(context, schedule, NewOverride(str(by.person), max(of.begins, context.now), of.ends), of.person)
        for of, by in ((one, other), (other, one))
    )
    record(context, "schedule.swapped", schedule, after={"overrides": [_described(stored) for stored in made]})
    return made[0], made[1]


def cancel_override(context: Context, schedule: str, override_id: int) -> None:
    """Cancel an override; one that has begun ends now, so that the past stays as it was.

    Raises `NoSuchSchedule`, `NotYourSchedule`, `NoSuchOverride`.
    """
    _changeable(context, schedule)
    stored = context.session.get(StoredOverride, override_id)
    if stored is None or stored.schedule != schedule or stored.cancelled_at or stored.ends <= context.now:
        raise NoSuchOverride
    record(context, "schedule.override_cancelled", schedule, before=_described(stored))
    if stored.begins < context.now:
        stored.ends = context.now
    else:
        stored.cancelled_at = context.now
    context.session.flush()


def _changeable(context: Context, name: str) -> Schedule:
    """The schedule, if the principal may override it; serialises changes of who is on call."""
    context.require(Role.RESPONDER)
    schedule = schedule_named(context.session, name)
    if not context.principal.may_act_on(schedule.team, None):
        raise NotYourSchedule
    # Two swaps of one shift at the same time would both give it away.
    context.session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    return schedule


def _faults(session: Session, wanted: NewOverride, now: datetime) -> list[FieldError]:
    faults = []
    if account_by_name(session, wanted.person) is None:
        faults.append(FieldError("person", "is not an account that may sign in"))
    if wanted.ends <= now:
        faults.append(FieldError("to", "is in the past"))
    elif wanted.ends <= wanted.begins:
        faults.append(FieldError("to", "must be later than `from`"))
    elif wanted.ends - max(wanted.begins, now) > LONGEST_OVERRIDE:
        faults.append(FieldError("to", f"must be at most {LONGEST_OVERRIDE.days} days after `from`"))
    elif wanted.ends - now > FURTHEST:
        faults.append(FieldError("to", f"must be at most {FURTHEST.days} days ahead"))
    return faults


def _shift_at(context: Context, schedule: Schedule, instant: datetime) -> Shift:
    shift = on_call_by(context.session, schedule, instant).shift
    if shift.is_gap:
        raise NothingToSwap(f"Nobody is on call at {iso(instant)}: add an override instead.")
    if shift.ends <= context.now:
        raise NothingToSwap(f"The shift at {iso(instant)} is over.")
    return shift


def _store(context: Context, schedule: str, wanted: NewOverride, swapped_with: str | None = None) -> StoredOverride:
    stored = StoredOverride(
        schedule=schedule,
        person=wanted.person,
        begins=wanted.begins,
        ends=wanted.ends,
        reason=wanted.reason,
        swapped_with=swapped_with,
        actor=context.who,
        created_at=context.now,
    )
    context.session.add(stored)
    context.session.flush()
    return stored


def _described(stored: StoredOverride) -> Mapping[str, Any]:
    return {
        "id": stored.id,
        "person": stored.person,
        "from": iso(stored.begins),
        "to": iso(stored.ends),
        "reason": stored.reason,
    }
