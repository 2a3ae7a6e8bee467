"""Maintenance windows: which alerts they cover, and when, in the local time of their time zone.

A recurring window keeps its local time: 02:00 to 04:00 in Berlin is the same in summer and winter. When clocks change,
a local time that does not exist is read with the offset before the change (RFC 5545). If a local time exists twice, a
window begins at the first and ends at the second. So in the night of the change a window may be an hour shorter or
longer than its `from` and `to` say, but it never moves.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Annotated, Any, Final, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StrictStr, model_validator

from ims.core.timezones import time_zone
from ims.policy.parts import Matcher, MatchValue, Name, PolicyPart, Text, check_match, fault, matchers_of
from ims.policy.recurrence import RULE_LENGTH, Recurrence, RuleFaulty, parse_rule

LONGEST: Final = timedelta(days=366)
"""The maximum length of a window; a longer one would only hide outages."""
LONGEST_RECURRING: Final = timedelta(days=31)
EARLIEST_YEAR: Final = 1970
LATEST_YEAR: Final = 2199

_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})?)?")
_ZONE: Final = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*")


def _read_time(given: Any) -> Any:
    if isinstance(given, datetime):
        return given
    try:
        if not isinstance(given, str) or not _TIME.fullmatch(given):
            raise ValueError
        time = datetime.fromisoformat(given)
    except ValueError:
        raise fault("must be a time such as 2026-03-01 02:00 or 2026-03-01T02:00:00+01:00.") from None
    if not EARLIEST_YEAR <= time.year <= LATEST_YEAR:
        raise fault(f"must be between the years {EARLIEST_YEAR} and {LATEST_YEAR}.")
    return time


def _check_zone(name: str) -> str:
    try:
        if not _ZONE.fullmatch(name):
            raise ValueError
        time_zone(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise fault(f"{name[:64]!r} is not a time zone: write one such as Europe/Berlin.") from None
    return name


Time = Annotated[datetime, BeforeValidator(_read_time)]
Zone = Annotated[StrictStr, AfterValidator(_check_zone)]


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """One occurrence of a window: from `begins` (inclusive) to `ends` (exclusive)."""

    begins: datetime
    ends: datetime

    def holds(self, now: datetime) -> bool:
        """Whether `now` is within the span."""
        return self.begins <= now < self.ends


@dataclass(frozen=True, slots=True)
class Cover:
    """The window that covers an alert now, and when the window ends."""

    window: str
    until: datetime
    reason: str | None = None


class MaintenanceWindow(PolicyPart):
    """During a maintenance window alerts are recorded, but IMS does not heal and does not notify anyone."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    name: Name
    services: tuple[Name, ...] = ()
    """Inventory hosts or logical services."""
    groups: tuple[StrictStr, ...] = ()
    """Inventory groups: covers their services and the services on their machines."""
    match: Annotated[dict[str, MatchValue], AfterValidator(check_match)] = Field(default={})
    """Conditions on labels, all of which must hold in addition."""
    begins: Time = Field(alias="from")
    """Begin of the first occurrence. A time without an offset is local time of `timezone`."""
    ends: Time = Field(alias="to")
    """End of the first occurrence."""
    timezone: Zone = "UTC"
    rrule: Annotated[StrictStr, Field(max_length=RULE_LENGTH)] | None = None
    """Recurrence rule of RFC 5545."""
    reason: Text | None = None

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if not self.services and not self.groups and not self.match:
            raise fault("covers nothing: give services, groups or match.")
        if self.first.ends <= self.first.begins:
            raise fault("`to` must be later than `from`.")
        longest = LONGEST if self.rrule is None else LONGEST_RECURRING
        if self._wall_end - self._wall_start > longest:
            raise fault(f"is longer than {longest.days} days: make it shorter.")
        try:
            _ = self._recurrence
        except RuleFaulty as faulty:
            raise fault(f"rrule: {faulty}") from None
        return self

    @cached_property
    def _zone(self) -> ZoneInfo:
        return time_zone(self.timezone)

    @cached_property
    def _wall_start(self) -> datetime:
        return on_the_wall(self.begins, self._zone)

    @cached_property
    def _wall_end(self) -> datetime:
        return on_the_wall(self.ends, self._zone)

    @cached_property
    def _recurrence(self) -> Recurrence | None:
        return None if self.rrule is None else parse_rule(self.rrule, self._wall_start, self._zone)

    @cached_property
    def _matchers(self) -> tuple[Matcher, ...]:
        return matchers_of(self.match)

    @cached_property
    def first(self) -> Span:
        """The first occurrence, from `from` to `to`."""
        begins = self.begins if self.begins.tzinfo else first_instant(self.begins, self._zone)
        ends = self.ends if self.ends.tzinfo else last_instant(self.ends, self._zone)
        return self._kept(begins.astimezone(UTC), ends.astimezone(UTC))

    def shown(self, moment: datetime) -> datetime:
        """`moment` in the local time of the window's time zone."""
        return moment.astimezone(self._zone)

    def span_at(self, now: datetime, *, ended_at: datetime | None = None) -> Span | None:
        """The current occurrence, else the next one; None if there are no more.

        Occurrences that began before `ended_at` are over, because a person ended the window then.
        """
        found = (span for span in self._spans(now) if span.ends > now and (ended_at is None or span.begins >= ended_at))
        return next(found, None)

    def _spans(self, now: datetime) -> Iterable[Span]:
        """All occurrences in order, without those that ended long ago."""
        if self._recurrence is None:
            return [self.first]
        length = self._wall_end - self._wall_start
        # One day more than the window's length, because clocks change.
        earliest = on_the_wall(now, self._zone) - length - timedelta(days=1)
        return (self._span(start, start + length) for start in self._recurrence.starting_from(earliest))

    def _span(self, start: datetime, end: datetime) -> Span:
        return self._kept(first_instant(start, self._zone), last_instant(end, self._zone))

    def _kept(self, begins: datetime, ends: datetime) -> Span:
        """The span; it keeps its length if it would begin after its end because its local start time does not exist."""
        if ends <= begins and self._wall_end > self._wall_start:
            return Span(begins, begins + (self._wall_end - self._wall_start))
        return Span(begins, ends)

    def covers(self, labels: Mapping[str, str], names: Collection[str], groups: Collection[str]) -> bool:
        """Whether the window, while it is open, covers an alert with these labels.

        `names` are the names of the alert's service, `groups` the inventory groups of the service and of its machine.
        """
        if (self.services or self.groups) and not (set(self.services) & set(names) or set(self.groups) & set(groups)):
            return False
        return all(matcher.matches(labels) for matcher in self._matchers)


def on_the_wall(time: datetime, zone: ZoneInfo) -> datetime:
    """The local time in `zone`, as a datetime without a zone."""
    return time if time.tzinfo is None else time.astimezone(zone).replace(tzinfo=None, fold=0)


def first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first moment of the local time `wall` in `zone`. A skipped time is read with the offset before the change."""
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


def last_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The last moment of the local time `wall` in `zone`. A skipped time is read with the offset before the change."""
    # With fold=1 Python reads a skipped time with the offset after the change, which would be too early.
    return max(first_instant(wall, zone), wall.replace(tzinfo=zone, fold=1).astimezone(UTC))
