"""Statistics, as in the API and in `ims incident summary --json`."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated

from pydantic import Field

from ims.core.schemas import ResponseModel
from ims.reports.summary import PERCENTILES, Day, Durations, Metric, Summary


class CountsResponse(ResponseModel):
    """Numbers of incidents."""

    opened: int
    acknowledged: Annotated[int, Field(description="Including a user's first action; automation does not count.")]
    resolved: int
    healed: Annotated[int, Field(description="A verification of one of their runs passed.")]


class DurationsResponse(ResponseModel):
    """Seconds since the opening; null without incidents."""

    incidents: Annotated[int, Field(description="Number of incidents.")]
    mean: float | None
    p50: Annotated[float | None, Field(description="Median; percentiles have an error of at most 5 %.")]
    p90: float | None
    p95: float | None
    p99: float | None


class DayResponse(CountsResponse):
    """One UTC day: counts and mean times, in seconds."""

    day: date
    mean_to_acknowledge: float | None
    mean_to_resolve: float | None
    mean_to_heal: float | None


class SummaryResponse(ResponseModel):
    """Statistics of whole UTC days. An event counts for the day it happened on, not for the day of the opening."""

    first: Annotated[date, Field(description="First day.")]
    last: Annotated[date, Field(description="Last day.")]
    counts: CountsResponse
    by_severity: Annotated[
        dict[str, CountsResponse], Field(description="By severity, for severities with at least one incident.")
    ]
    to_acknowledge: DurationsResponse
    to_resolve: DurationsResponse
    to_heal: DurationsResponse
    days: Annotated[list[DayResponse], Field(description="Every day, in order, including days without events.")]


def show_summary(summary: Summary) -> SummaryResponse:
    return SummaryResponse(
        first=summary.first,
        last=summary.last,
        counts=_counts(summary.counts),
        by_severity={severity: _counts(counts) for severity, counts in summary.by_severity.items()},
        to_acknowledge=_durations(summary.to_acknowledge),
        to_resolve=_durations(summary.to_resolve),
        to_heal=_durations(summary.to_heal),
        days=[_day(day) for day in summary.days],
    )


def _counts(counts: Mapping[Metric, int]) -> CountsResponse:
    return CountsResponse(**{metric.value: counts[metric] for metric in Metric})


def _durations(durations: Durations) -> DurationsResponse:
    percentiles = {f"p{percent}": durations.percentiles.get(percent) for percent in PERCENTILES}
    return DurationsResponse(incidents=durations.incidents, mean=durations.mean, **percentiles)


def _day(day: Day) -> DayResponse:
    return DayResponse(
        day=day.day,
        **_counts(day.counts).model_dump(),
        mean_to_acknowledge=day.means[Metric.ACKNOWLEDGED],
        mean_to_resolve=day.means[Metric.RESOLVED],
        mean_to_heal=day.means[Metric.HEALED],
    )
