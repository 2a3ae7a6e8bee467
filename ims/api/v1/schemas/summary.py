"""The statistics as programs see them: the same in the API and in `ims incident summary --json`."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated

from pydantic import Field

from ims.core.schemas import ResponseModel
from ims.reports.summary import PERCENTILES, Day, Durations, Metric, Summary


class CountsResponse(ResponseModel):
    """How many incidents."""

    opened: int
    acknowledged: Annotated[int, Field(description="Or somebody's first action; automation does not count.")]
    resolved: int
    healed: Annotated[int, Field(description="The verification of a run of theirs passed.")]


class DurationsResponse(ResponseModel):
    """Seconds from the opening; null of no incident."""

    incidents: Annotated[int, Field(description="Of how many.")]
    mean: float | None
    p50: Annotated[float | None, Field(description="Half of them took at most this; percentiles are within 5 %.")]
    p90: float | None
    p95: float | None
    p99: float | None


class DayResponse(CountsResponse):
    """One UTC day: what happened on it, and the mean seconds of what did."""

    day: date
    mean_to_acknowledge: float | None
    mean_to_resolve: float | None
    mean_to_heal: float | None


class SummaryResponse(ResponseModel):
    """Everything about whole UTC days. What happened on a day counts for it, whenever the incident was opened."""

    first: Annotated[date, Field(description="First day.")]
    last: Annotated[date, Field(description="Last day.")]
    counts: CountsResponse
    by_severity: Annotated[dict[str, CountsResponse], Field(description="Of each severity that there was one of.")]
    to_acknowledge: DurationsResponse
    to_resolve: DurationsResponse
    to_heal: DurationsResponse
    days: Annotated[list[DayResponse], Field(description="Each day in order, also those on which nothing happened.")]


def show_summary(told: Summary) -> SummaryResponse:
    """The summary as programs see it."""
    return SummaryResponse(
        first=told.first,
        last=told.last,
        counts=_counts(told.counts),
        by_severity={severity: _counts(counts) for severity, counts in told.by_severity.items()},
        to_acknowledge=_durations(told.to_acknowledge),
        to_resolve=_durations(told.to_resolve),
        to_heal=_durations(told.to_heal),
        days=[_day(day) for day in told.days],
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
