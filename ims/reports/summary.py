"""Statistics of a range of days: numbers of incidents, severities, and how long people and automation took.

Each fact counts for the day on which it happened: an incident that was opened on Monday and resolved on Tuesday counts
as opened on Monday and as resolved on Tuesday. Days are UTC.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from ims.core.errors import FieldError, Invalid
from ims.reports.rollups import PENDING_FACTS, duration_of

PERCENTILES: Final = (50, 90, 95, 99)
ONE_DAY: Final = timedelta(days=1)
MOST_DAYS: Final = 3660
"""Ten years; the summary lists every day."""


class Metric(StrEnum):
    """A fact about an incident that counts for a day."""

    OPENED = "opened"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    HEALED = "healed"


_SCOPES: Final = {
    (): "all",
    ("service",): "service",
    ("environment",): "environment",
    ("team",): "team",
    ("environment", "team"): "owner",
}
"""The scope of rows that are grouped by exactly the chosen fields; for other combinations scope `exact` is read."""

TIMED: Final = (Metric.ACKNOWLEDGED, Metric.RESOLVED, Metric.HEALED)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Filters of incidents; an empty one matches all."""

    service: str = ""
    environment: str = ""
    severity: str = ""
    team: str = ""


@dataclass(frozen=True, slots=True)
class Durations:
    """Seconds since the opening of incidents; empty without any. The mean is exact, percentiles are within 5 %."""

    incidents: int = 0
    mean: float | None = None
    percentiles: Mapping[int, float] = field(default_factory=dict)
    """By percent: 50, 90, 95, 99."""


@dataclass(frozen=True, slots=True)
class Day:
    """One UTC day: the count and the mean duration of each metric."""

    day: date
    counts: Mapping[Metric, int]
    means: Mapping[Metric, float | None]


@dataclass(frozen=True, slots=True)
class Summary:
    """The statistics of the days from `first` up to and including `last`."""

    first: date
    last: date
    counts: Mapping[Metric, int]
    by_severity: Mapping[str, Mapping[Metric, int]]
    """For each severity with at least one incident."""
    to_acknowledge: Durations
    to_resolve: Durations
    to_heal: Durations
    days: Sequence[Day]
    """Every day of the range, including those without an incident."""


# One statement, so that all numbers are of one moment. First the counts of each day, from one row a day and metric;
# then severities and durations, which need no days and are read from whole weeks where possible. Pending changes are
# added.
_READ: Final = """
    WITH pending AS MATERIALIZED (
        SELECT day, metric, severity, bucket, sum(n) AS n, sum(n * seconds) AS seconds
        FROM ({facts}) AS fact
        WHERE day BETWEEN :first AND :last AND metric <> 'removed' AND {chosen}
        GROUP BY day, metric, severity, bucket
    ), step AS MATERIALIZED (
        SELECT daily.metric, daily.severity, daily.incidents, daily.buckets, daily.counts
        FROM unnest(CAST(:lengths AS smallint[]), CAST(:starts AS date[])) AS step (days, day)
        JOIN incident_daily AS daily ON daily.days = step.days AND daily.day = step.day
        WHERE metric <> 'removed' AND {key}
    )
    SELECT metric, day, NULL AS severity, NULL::smallint AS bucket, sum(n), sum(seconds)
    FROM (
        SELECT metric, day, incidents AS n, seconds FROM incident_daily
        WHERE days = 1 AND day BETWEEN :first AND :last AND metric <> 'removed' AND {key} AND {whole}
        UNION ALL SELECT metric, day, n, seconds FROM pending
    ) AS of_day GROUP BY metric, day
    UNION ALL
    SELECT metric, NULL, severity, NULL, sum(n), NULL
    FROM (
        SELECT metric, severity, incidents AS n FROM step WHERE severity <> '*'
        UNION ALL SELECT metric, severity, n FROM pending
    ) AS of_severity GROUP BY metric, severity
    UNION ALL
    SELECT metric, NULL, NULL, bucket, sum(n), NULL
    FROM (
        SELECT metric, part.bucket, part.n FROM step CROSS JOIN LATERAL unnest(buckets, counts) AS part (bucket, n)
        WHERE {whole}
        UNION ALL SELECT metric, bucket, n FROM pending WHERE bucket IS NOT NULL
    ) AS of_bucket GROUP BY metric, bucket
"""


def read_summary(session: Session, since: datetime, until: datetime, chosen: Chosen, now: datetime) -> Summary:
    """The statistics of the whole UTC days from that of `since` to the last one that begins before `until`.

    Days after that of `now` are left out. Reads a few rows for each day, and more with several fields `chosen`.
    Raises `Invalid` when there are no such days or too many.
    """
    first, last = days_of(since, until, now)
    sums = _Sums()
    lengths, starts = zip(*_steps(first, last), strict=True)
    given = {"first": first, "last": last, "lengths": list(lengths), "starts": list(starts), **_given(chosen)}
    for row in session.execute(_statement(chosen), given):
        sums.add(*row)
    return Summary(
        first=first,
        last=last,
        counts={metric: sum(sums.days[metric, day][0] for day in _days(first, last)) for metric in Metric},
        by_severity={
            severity: {metric: counted.get(metric, 0) for metric in Metric}
            for severity, counted in sorted(sums.severities.items())
            if any(counted.values())
        },
        to_acknowledge=sums.durations(Metric.ACKNOWLEDGED),
        to_resolve=sums.durations(Metric.RESOLVED),
        to_heal=sums.durations(Metric.HEALED),
        days=[sums.day(day) for day in _days(first, last)],
    )


def days_of(since: datetime, until: datetime, now: datetime) -> tuple[date, date]:
    """First and last day of a range. Raises `Invalid` when it is empty, longer than ten years, or in the future."""
    if since >= until or since > now:
        raise Invalid(fields=[FieldError("since", "must be before until, and not in the future")])
    first, last = since.astimezone(UTC).date(), min(until - timedelta(microseconds=1), now).astimezone(UTC).date()
    if (last - first).days >= MOST_DAYS:
        raise Invalid(fields=[FieldError("since", f"must be at most {MOST_DAYS} days before until")])
    return first, last


def _given(chosen: Chosen) -> dict[str, str]:
    return {name: value for name in Chosen.__slots__ if (value := getattr(chosen, name))}


def _statement(chosen: Chosen) -> TextClause:
    """The statement that reads the fewest rows for the chosen fields."""
    given = _given(chosen)
    grouped = [name for name in given if name != "severity"]
    scope = _SCOPES.get(tuple(grouped), "exact")
    key = [f"scope = '{scope}'", *(f"{name} = :{name}" for name in given)]
    if scope != "exact":
        # The other columns are empty: with these conditions the rows are adjacent in the primary key.
        key += [f"{name} = ''" for name in ("service", "environment", "team") if name not in grouped]
    return text(
        _READ.format(
            facts=PENDING_FACTS,
            chosen=" AND ".join(f"{name} = :{name}" for name in given) or "true",
            key=" AND ".join(key),
            # A row for all severities together, where it exists, replaces the others.
            whole="true" if scope == "exact" or "severity" in given else "severity = '*'",
        )
    )


def _steps(first: date, last: date) -> Iterator[tuple[int, date]]:
    """The range as whole weeks and the days around them: pairs of length in days and first day."""
    day = first
    while day <= last:
        length = 7 if day.weekday() == 0 and day + 6 * ONE_DAY <= last else 1
        yield length, day
        day += length * ONE_DAY


def _days(first: date, last: date) -> Iterator[date]:
    day = first
    while day <= last:
        yield day
        day += ONE_DAY


@dataclass
class _Sums:
    """The sums of the rows of a query."""

    days: defaultdict[tuple[str, date], tuple[int, Decimal]] = field(
        default_factory=lambda: defaultdict(lambda: (0, Decimal(0)))
    )
    severities: defaultdict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    buckets: defaultdict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))

    def add(
        self, metric: str, day: date | None, severity: str | None, bucket: int | None, n: int, seconds: Any
    ) -> None:
        if day is not None:
            self.days[metric, day] = int(n), Decimal(seconds)
        elif severity is not None:
            self.severities[severity][metric] = int(n)
        elif bucket is not None:
            self.buckets[metric][bucket] = int(n)

    def day(self, day: date) -> Day:
        counted = {metric: self.days[metric, day] for metric in Metric}
        return Day(
            day,
            {metric: count for metric, (count, _) in counted.items()},
            {
                metric: float(counted[metric][1] / counted[metric][0]) if counted[metric][0] else None
                for metric in TIMED
            },
        )

    def durations(self, metric: Metric) -> Durations:
        mine = [sums for (name, _), sums in self.days.items() if name == metric]
        incidents = sum(count for count, _ in mine)
        if not incidents:
            return Durations()
        mean = float(sum(seconds for _, seconds in mine) / incidents)
        return Durations(incidents, mean, _percentiles(self.buckets[metric]))


def _percentiles(buckets: Mapping[int, int]) -> dict[int, float]:
    """For each percentile the duration of its bucket: the smallest one that so many per cent do not exceed."""
    total = sum(buckets.values())
    found: dict[int, float] = {}
    reached = 0
    for bucket in sorted(buckets):
        reached += buckets[bucket]
        for percent in PERCENTILES:
            if percent not in found and reached * 100 >= percent * total:
                found[percent] = duration_of(bucket)
    return found
