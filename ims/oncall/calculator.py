"""Who is on call by a schedule and its overrides. Pure: it reads no clock and no database."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from ims.policy.rotations import Shift, overlay, planned_shifts
from ims.policy.schedules import LONGEST_SHIFT_DAYS, Schedule

_SEARCHED: Final = (timedelta(days=2), timedelta(days=16), timedelta(days=2 * LONGEST_SHIFT_DAYS))
"""How far around an instant its shift is looked for; most are short."""
_MOMENT: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, order=True)
class Override:
    """A person takes the place of whoever is on call. Of two that overlap, the one with the higher id counts."""

    id: int
    begins: datetime
    ends: datetime
    person: str


@dataclass(frozen=True, slots=True)
class OnCall:
    """The shift at an instant, and the first shift of somebody else after it."""

    shift: Shift
    following: Shift | None


def shifts(schedule: Schedule, begins: datetime, ends: datetime, overrides: Iterable[Override] = ()) -> list[Shift]:
    """The shifts from `begins` to `ends`, in order and without a hole: gaps are shifts of nobody."""
    found = planned_shifts(schedule, begins, ends)
    for one in sorted(overrides):
        if one.begins < ends and one.ends > begins:
            above = Shift(one.begins, one.ends, one.person, override=one.id).within(begins, ends)
            found = overlay(found, [above])
    return found


def who(schedule: Schedule, instant: datetime, overrides: Iterable[Override] = ()) -> str | None:
    """The person on call at an instant; None in a gap."""
    (shift,) = shifts(schedule, instant, instant + _MOMENT, overrides)
    return shift.person


def on_call(schedule: Schedule, instant: datetime, overrides: Sequence[Override] = ()) -> OnCall:
    """The whole shift at an instant, and who follows."""
    for around in _SEARCHED:
        begins, ends = instant - around, instant + around
        found = shifts(schedule, begins, ends, overrides)
        place = next(index for index, shift in enumerate(found) if shift.holds(instant))
        shift = found[place]
        later = [one for one in found[place + 1 :] if one.person not in (None, shift.person)]
        if later and shift.begins > begins and shift.ends < ends:
            break
    return OnCall(shift, later[0] if later else None)


def gaps(found: Iterable[Shift]) -> list[Shift]:
    """The gaps among these shifts."""
    return [shift for shift in found if shift.is_gap]
