"""The shifts of an on-call schedule, without overrides. Pure: times are arguments.

Everything is calculated on the local clock, and one function, `reached`, says when the local clock gets there. So a
handoff keeps its local hour in summer and winter; a handoff time that occurs twice counts when it occurs first; one
that the clock skips counts at the moment of the skip. `reached` never goes backwards, which is why shifts join exactly
and no instant belongs to two of them, whatever the clocks do.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from itertools import count
from typing import Final
from zoneinfo import ZoneInfo

from ims.policy.schedules import WEEKDAYS, Layer, Restriction, Schedule

_MARGIN: Final = timedelta(days=2)
"""More than two time zones, or a zone before and after a change, can be apart."""
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Shift:
    """From `begins` (inclusive) to `ends` (exclusive) one person is on call; nobody in a gap."""

    begins: datetime
    ends: datetime
    person: str | None = None
    """None: a gap."""
    layer: str | None = None
    """None: an override, or a gap."""
    override: int | None = None

    @property
    def is_gap(self) -> bool:
        return self.person is None

    def holds(self, instant: datetime) -> bool:
        """Whether `instant` is within the shift."""
        return self.begins <= instant < self.ends

    def within(self, begins: datetime, ends: datetime) -> "Shift":
        """The part of the shift between two instants."""
        return replace(self, begins=max(self.begins, begins), ends=min(self.ends, ends))


def reached(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first instant at which the local clock of `zone` shows `wall` or a later time."""
    instant = wall.replace(tzinfo=zone).astimezone(UTC)
    if _wall(instant, zone) == wall:
        return instant
    # The clock skips `wall`. Both readings of it enclose the change of the clock.
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    seconds = range(int((instant - before) / _SECOND) + 1)
    return before + bisect_left(seconds, wall, key=lambda passed: _wall(before + passed * _SECOND, zone)) * _SECOND


def planned_shifts(schedule: Schedule, begins: datetime, ends: datetime) -> list[Shift]:
    """The shifts of the layers from `begins` to `ends`, in order and without a hole: gaps are shifts of nobody."""
    if ends <= begins:
        return []
    found = [Shift(begins, ends)]
    for layer in schedule.layers:
        found = overlay(found, _layer_shifts(layer, schedule.zone_of(layer), begins, ends))
    return found


def overlay(base: Sequence[Shift], top: Sequence[Shift]) -> list[Shift]:
    """`base` with the shifts of `top` in place of what they cover. Both are in order, and `top` lies within `base`."""
    found: list[Shift] = []
    following = 0
    for below in base:
        at = below.begins
        while following < len(top) and top[following].begins < below.ends:
            above = top[following]
            if above.begins > at:
                found.append(replace(below, begins=at, ends=above.begins))
            if above.begins >= below.begins:
                found.append(above)
            at = max(at, above.ends)
            if above.ends > below.ends:
                break
            following += 1
        if at < below.ends:
            found.append(replace(below, begins=at))
    return found


def _layer_shifts(layer: Layer, zone: ZoneInfo, begins: datetime, ends: datetime) -> list[Shift]:
    if layer.last_handoff is not None:
        ends = min(ends, reached(layer.last_handoff, zone))
    turns = _turns(layer, zone, begins, ends)
    if not layer.restrictions:
        return list(turns)
    spans = _joined(span for one in layer.restrictions for span in _spans(one, zone, begins, ends))
    return [
        turn.within(*span) for turn in turns for span in spans if max(turn.begins, span[0]) < min(turn.ends, span[1])
    ]


def _turns(layer: Layer, zone: ZoneInfo, begins: datetime, ends: datetime) -> Iterator[Shift]:
    """The turns of a layer's people between two instants, regardless of restrictions."""
    cycle = timedelta(hours=sum(layer.lengths))
    passed = max(0, (_wall(begins, zone) - _MARGIN - layer.first_handoff) // cycle)
    wall = layer.first_handoff + passed * cycle
    handoff = reached(wall, zone)
    for turn in count(passed * len(layer.lengths)):
        if handoff >= ends:
            return
        wall += timedelta(hours=layer.lengths[turn % len(layer.lengths)])
        following = reached(wall, zone)
        # A turn of hours that the clock skips has no length.
        if max(handoff, begins) < min(following, ends):
            person = layer.people[turn % len(layer.people)]
            yield Shift(handoff, following, person, layer.name).within(begins, ends)
        handoff = following


def _spans(
    restriction: Restriction, zone: ZoneInfo, begins: datetime, ends: datetime
) -> Iterator[tuple[datetime, datetime]]:
    start, end = time.fromisoformat(restriction.begins), time.fromisoformat(restriction.ends)
    day, last = (_wall(begins, zone) - _MARGIN).date(), (_wall(ends, zone) + _MARGIN).date()
    while day <= last:
        if WEEKDAYS[day.weekday()] in restriction.days:
            end_day = day if end > start else day + timedelta(days=1)
            yield reached(datetime.combine(day, start), zone), reached(datetime.combine(end_day, end), zone)
        day += timedelta(days=1)


def _joined(spans: Iterator[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """The spans in order, those that touch or overlap as one."""
    found: list[tuple[datetime, datetime]] = []
    for begins, ends in sorted(spans):
        if found and begins <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], ends))
        else:
            found.append((begins, ends))
    return found


def _wall(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)
