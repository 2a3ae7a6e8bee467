"""Metrics of incidents."""

from collections.abc import Iterable

from prometheus_client import Counter, Histogram

INCIDENTS_RESOLVED = Counter("incident_resolved", "Incidents that were resolved, by their alerts or by a person.")

INCIDENT_DURATION = Histogram(
    "incident_duration_seconds",
    "Seconds from the opening of an incident to its resolution.",
    buckets=(5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600, 24 * 3600),
)


def count_resolved(durations: Iterable[float]) -> None:
    """Count resolved incidents by the seconds each was open; call it after the commit."""
    for seconds in durations:
        INCIDENTS_RESOLVED.inc()
        INCIDENT_DURATION.observe(seconds)
