"""Reading schedules of the active policy with their overrides, and who is on call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from ims.core.errors import NotFound
from ims.oncall.calculator import OnCall, Override, gaps, on_call, shifts
from ims.oncall.models import StoredOverride
from ims.policy.queries import policy_in_force
from ims.policy.rotations import Shift
from ims.policy.schedules import LONGEST_SHIFT_DAYS, Schedule

GAPS_AHEAD: Final = timedelta(days=28)
"""How far ahead gaps are looked for."""
_AROUND: Final = timedelta(days=2 * LONGEST_SHIFT_DAYS)


class NoSuchSchedule(NotFound):
    """There is no on-call schedule with this name in the active policy."""


@dataclass(frozen=True, slots=True)
class CurrentOnCall:
    """Who is on call by one schedule."""

    schedule: Schedule
    now: OnCall


def all_schedules(session: Session) -> Sequence[Schedule]:
    """The schedules of the active policy, by name."""
    return sorted(policy_in_force(session).oncall_schedules, key=lambda one: one.name)


def schedule_named(session: Session, name: str) -> Schedule:
    """One schedule. Raises `NoSuchSchedule`."""
    found = next((one for one in policy_in_force(session).oncall_schedules if one.name == name), None)
    if found is None:
        raise NoSuchSchedule
    return found


def stored_overrides(session: Session, schedule: str, begins: datetime, ends: datetime) -> Sequence[StoredOverride]:
    """The overrides of a schedule within a time, without cancelled ones, by their begin."""
    wanted = select(StoredOverride).where(
        StoredOverride.schedule == schedule,
        StoredOverride.cancelled_at.is_(None),
        StoredOverride.ends > begins,
        StoredOverride.begins < ends,
    )
    return session.scalars(wanted.order_by(StoredOverride.begins, StoredOverride.id)).all()


def shifts_of(session: Session, schedule: Schedule, begins: datetime, ends: datetime) -> list[Shift]:
    """The shifts of a schedule within a time, with overrides."""
    return shifts(schedule, begins, ends, overrides_of(session, schedule.name, begins, ends))


def overrides_of(session: Session, schedule: str, begins: datetime, ends: datetime) -> list[Override]:
    """The overrides of a schedule within a time, for the calculator."""
    found = stored_overrides(session, schedule, begins, ends)
    return [Override(one.id, one.begins, one.ends, one.person) for one in found]


def on_call_by(session: Session, schedule: Schedule, instant: datetime) -> OnCall:
    """Who is on call by a schedule at an instant, and who follows."""
    overrides = overrides_of(session, schedule.name, instant - _AROUND, instant + _AROUND)
    return on_call(schedule, instant, overrides)


def current_on_call(session: Session, now: datetime, team: str | None = None) -> list[CurrentOnCall]:
    """Who is on call, by schedule; only by the schedules of one team if `team` is given."""
    return [
        CurrentOnCall(one, on_call_by(session, one, now))
        for one in all_schedules(session)
        if team is None or one.team == team
    ]


def gap_seconds(session: Session, now: datetime) -> Mapping[str, float]:
    """For each schedule the seconds of the days ahead in which nobody is on call."""
    return {
        one.name: sum(
            (gap.ends - gap.begins).total_seconds() for gap in gaps(shifts_of(session, one, now, now + GAPS_AHEAD))
        )
        for one in all_schedules(session)
    }
