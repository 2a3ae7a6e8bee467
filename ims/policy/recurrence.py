"""Recurrence rules of RFC 5545 (RRULE). All times here are local (wall clock) times without a zone.

A recurrence happens at most once a day. The computation is bounded for every rule: it finds days one period (day, week,
month or year) at a time, starts at the requested period, and ends `HORIZON_YEARS` after it. dateutil expands a month or
a year; without these bounds it would search for a 30 February until the year 9999.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from itertools import islice
from typing import Final, Literal, cast
from zoneinfo import ZoneInfo

from dateutil.rrule import MONTHLY, YEARLY, rrule, weekday, weekdays

HORIZON_YEARS: Final = 50
RULE_LENGTH: Final = 256
MOST_INTERVAL: Final = 366
MOST_COUNT: Final = 1000

Frequency = Literal["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]

_EVERYWHERE = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYMONTH", "BYDAY"})
_ALLOWED: Final[Mapping[str, frozenset[str]]] = {
    "DAILY": _EVERYWHERE | {"BYMONTHDAY"},
    "WEEKLY": _EVERYWHERE,
    "MONTHLY": _EVERYWHERE | {"BYMONTHDAY", "BYSETPOS"},
    "YEARLY": _EVERYWHERE | {"BYMONTHDAY", "BYSETPOS"},
}
_WEEKDAYS: Final[Mapping[str, int]] = {"MO": 0, "TU": 1, "WE": 2, "TH": 3, "FR": 4, "SA": 5, "SU": 6}
_BYDAY = re.compile(r"(?P<ordinal>[+-]?[0-9]{1,2})?(?P<day>MO|TU|WE|TH|FR|SA|SU)")
_NUMBER = re.compile(r"[+-]?[0-9]{1,4}")
_UNTIL = re.compile(r"(?P<date>[0-9]{8})(?:T(?P<time>[0-9]{6})(?P<utc>Z?))?")
_ONE_PERIOD: Final = 12 * 9999
"""A large interval, which ends dateutil's search after the first month or year."""


# Parts that calendars export and that are not supported, each with another way.
_INSTEAD: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("BYHOUR", "BYMINUTE", "BYSECOND"),
        "the time of day is that of `from`. Write a window for each time of the day.",
    ),
    **dict.fromkeys(
        ("EXDATE", "EXRULE"),
        "a window has no exceptions. End it before the exception by UNTIL, and write another that begins after it.",
    ),
    "RDATE": "write a window of its own for each additional date.",
    "DTSTART": "the first occurrence is `from` and `to`, and `timezone` is a key of the window.",
}
_CALENDAR_LINE = re.compile(r"(?:^|[\s;])(EXDATE|EXRULE|RDATE|DTSTART)\b", re.IGNORECASE)


class RuleFaulty(ValueError):
    """An RRULE is invalid; the message says why and how to correct it."""


@dataclass(frozen=True)
class Recurrence:
    """A rule and its first possible time. Create it with `parse_rule`."""

    frequency: Frequency
    begins: datetime
    interval: int = 1
    count: int | None = None
    until: datetime | None = None
    week_start: int = 0
    months: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    week_days: tuple[tuple[int, int | None], ...] = ()
    """(day of the week from Monday 0, its ordinal in the month or year or None for every such day)"""
    positions: tuple[int, ...] = field(default=())

    def starting_from(self, earliest: datetime) -> Iterator[datetime]:
        """The times from `earliest` on, in order, up to the horizon."""
        last = self.last
        for found in self._all_from(max(earliest, self.begins)):
            if last is not None and found > last:
                return
            yield found

    @cached_property
    def last(self) -> datetime | None:
        """The last possible time, by UNTIL or COUNT; None if the rule has no end."""
        if self.count is None:
            return self.until
        counted = list(islice(self._all_from(self.begins), self.count))
        return counted[-1] if counted else self.begins

    def _all_from(self, earliest: datetime) -> Iterator[datetime]:
        """The times up to the horizon, regardless of UNTIL and COUNT."""
        first = self._period_of(self.begins.date())
        period = self._aligned(first, self._period_of(earliest.date()))
        end = earliest.year + HORIZON_YEARS
        while (start := self._start_of(period)).year <= end:
            for day in self._days(start):
                found = datetime.combine(day, self.begins.time())
                if found >= earliest:
                    yield found
            period += self.interval

    def _aligned(self, first: int, wanted: int) -> int:
        """The last period, up to the wanted one, that the interval includes."""
        return first + max(0, wanted - first) // self.interval * self.interval

    def _period_of(self, day: date) -> int:
        """Number of the period that contains a day."""
        match self.frequency:
            case "DAILY":
                return day.toordinal()
            case "WEEKLY":
                # 1 January of year 1 was a Monday and has ordinal 1.
                return (day.toordinal() - 1 - self.week_start) // 7
            case "MONTHLY":
                return day.year * 12 + day.month - 1
            case "YEARLY":
                return day.year

    def _start_of(self, period: int) -> date:
        match self.frequency:
            case "DAILY":
                return date.fromordinal(period)
            case "WEEKLY":
                return date.fromordinal(period * 7 + 1 + self.week_start)
            case "MONTHLY":
                return date(period // 12, period % 12 + 1, 1)
            case "YEARLY":
                return date(period, 1, 1)

    def _days(self, start: date) -> Iterator[date]:
        """The days of the period that begins at `start`."""
        if self.frequency in ("DAILY", "WEEKLY"):
            days = (start + timedelta(days=n) for n in range(7 if self.frequency == "WEEKLY" else 1))
            yield from filter(self._is_chosen, days)
            return
        expanded = rrule(
            MONTHLY if self.frequency == "MONTHLY" else YEARLY,
            dtstart=datetime.combine(start, time()),
            interval=_ONE_PERIOD,
            wkst=self.week_start,
            bymonth=self.months or None,
            bymonthday=self.month_days or None,
            byweekday=[_dateutil_day(day, ordinal) for day, ordinal in self.week_days] or None,
            bysetpos=self.positions or None,
        )
        yield from (found.date() for found in expanded)

    def _is_chosen(self, day: date) -> bool:
        from_end = day.day - 1 - _days_in_month(day)
        return (
            (not self.months or day.month in self.months)
            and (not self.week_days or any(day.weekday() == chosen for chosen, _ in self.week_days))
            and (not self.month_days or day.day in self.month_days or from_end in self.month_days)
        )


def parse_rule(rule: str, begins: datetime, zone: ZoneInfo) -> Recurrence:
    """Parse an RRULE whose first occurrence is at `begins`, a local time in `zone`.

    Raises `RuleFaulty`, also for a rule without any occurrence.
    """
    if calendar := _CALENDAR_LINE.search(rule):
        raise _unsupported(calendar[1].upper())
    parts = _parts(rule)
    frequency = parts.get("FREQ", "")
    if frequency in ("HOURLY", "MINUTELY", "SECONDLY"):
        raise RuleFaulty(
            "FREQ must be one of DAILY, WEEKLY, MONTHLY, YEARLY: a window occurs at most once a day. Write a window "
            "for each time of the day."
        )
    if frequency not in _ALLOWED:
        raise RuleFaulty("FREQ must be one of DAILY, WEEKLY, MONTHLY, YEARLY.")
    if other := sorted(parts.keys() & _INSTEAD.keys()):
        raise _unsupported(other[0])
    if strange := sorted(parts.keys() - _ALLOWED[frequency]):
        known = ", ".join(sorted(_ALLOWED[frequency]))
        raise RuleFaulty(f"{strange[0][:32]} cannot be used with FREQ={frequency}. Allowed parts: {known}.")
    if "COUNT" in parts and "UNTIL" in parts:
        raise RuleFaulty("has both COUNT and UNTIL: remove one.")
    week_days = _week_days(parts, frequency)
    month_days = _numbers(parts, "BYMONTHDAY", 31, may_be_negative=True)
    months = _numbers(parts, "BYMONTH", 12)
    # RFC 5545: the first time supplies the parts that a rule leaves out.
    if not week_days and frequency == "WEEKLY":
        week_days = ((begins.weekday(), None),)
    elif not week_days and not month_days and frequency in ("MONTHLY", "YEARLY"):
        month_days = (begins.day,)
        months = months or ((begins.month,) if frequency == "YEARLY" else ())
    recurrence = Recurrence(
        frequency=cast(Frequency, frequency),
        begins=begins,
        interval=_number(parts, "INTERVAL", MOST_INTERVAL, default=1),
        count=_number(parts, "COUNT", MOST_COUNT, default=0) or None,
        until=_until(parts["UNTIL"], zone) if "UNTIL" in parts else None,
        week_start=_week_start(parts),
        months=months,
        month_days=month_days,
        week_days=week_days,
        positions=_numbers(parts, "BYSETPOS", 366, may_be_negative=True),
    )
    if next(recurrence.starting_from(begins), None) is None:
        raise RuleFaulty("never occurs: no day matches it.")
    return recurrence


def _unsupported(part: str) -> RuleFaulty:
    return RuleFaulty(f"{part} is not supported: {_INSTEAD[part]}")


def _parts(rule: str) -> dict[str, str]:
    if len(rule) > RULE_LENGTH:
        raise RuleFaulty(f"is longer than {RULE_LENGTH} characters: make it shorter.")
    parts: dict[str, str] = {}
    for part in rule.strip().upper().removeprefix("RRULE:").rstrip(";").split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise RuleFaulty("is not an RRULE: write it like FREQ=WEEKLY;BYDAY=SU.")
        if name in parts:
            raise RuleFaulty(f"has {name[:32]} twice: remove one.")
        parts[name] = value
    return parts


def _number(parts: Mapping[str, str], name: str, most: int, default: int) -> int:
    if name not in parts:
        return default
    (number, *more) = _numbers(parts, name, most)
    if more:
        raise RuleFaulty(f"{name} must be one number.")
    return number


def _numbers(parts: Mapping[str, str], name: str, most: int, *, may_be_negative: bool = False) -> tuple[int, ...]:
    if name not in parts:
        return ()
    texts = parts[name].split(",")
    numbers = [int(text) for text in texts if _NUMBER.fullmatch(text)]
    if len(numbers) != len(texts) or not all(
        1 <= (abs(number) if may_be_negative else number) <= most for number in numbers
    ):
        raise RuleFaulty(f"{name} must be from 1 to {most}{', or negative to count from the end' * may_be_negative}.")
    return tuple(sorted(set(numbers)))


def _week_days(parts: Mapping[str, str], frequency: str) -> tuple[tuple[int, int | None], ...]:
    if "BYDAY" not in parts:
        return ()
    found = []
    for text in parts["BYDAY"].split(","):
        match = _BYDAY.fullmatch(text)
        ordinal = int(match["ordinal"]) if match and match["ordinal"] else None
        if match is None or (ordinal is not None and not 1 <= abs(ordinal) <= 53):
            raise RuleFaulty("BYDAY must be a list of MO, TU, WE, TH, FR, SA, SU, such as MO,TH or 1SU.")
        if ordinal is not None and frequency in ("DAILY", "WEEKLY"):
            raise RuleFaulty(f"BYDAY with a number, such as 1SU, cannot be used with FREQ={frequency}.")
        found.append((_WEEKDAYS[match["day"]], ordinal))
    return tuple(found)


def _week_start(parts: Mapping[str, str]) -> int:
    if (day := parts.get("WKST", "MO")) not in _WEEKDAYS:
        raise RuleFaulty("WKST must be one of MO, TU, WE, TH, FR, SA, SU.")
    return _WEEKDAYS[day]


def _until(text: str, zone: ZoneInfo) -> datetime:
    """The last possible local time in `zone`; a date without a time includes its whole day."""
    match = _UNTIL.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        if match["time"] is None:
            return datetime.combine(datetime.strptime(match["date"], "%Y%m%d"), time.max)  # noqa: DTZ007 - no zone
        until = datetime.strptime(match["date"] + match["time"], "%Y%m%d%H%M%S")  # noqa: DTZ007 - local time
        return until.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None) if match["utc"] else until
    except (ValueError, OverflowError):
        raise RuleFaulty("UNTIL must be written like 20261231 or 20261231T230000Z.") from None


def _dateutil_day(day: int, ordinal: int | None) -> weekday:
    plain: weekday = weekdays[day]
    ordered: Callable[[int], weekday] = plain
    return plain if ordinal is None else ordered(ordinal)


def _days_in_month(day: date) -> int:
    following = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
    return (following - timedelta(days=1)).day
