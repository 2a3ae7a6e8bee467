"""What the programs count, for Prometheus; right with several server processes.

A program that serves with several processes sets `PROMETHEUS_MULTIPROC_DIR` before this module is imported: each
process writes its figures there, and whoever is asked adds them up. `ims.serving` sees to that.

No label takes a value that a sender chooses: a sender could fill the memory of Prometheus.
"""

import os
from collections import Counter as Tally
from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from ims.serving import METRICS_VARIABLE

if TYPE_CHECKING:
    from ims.alerts.actions import Outcome
    from ims.alerts.notices import Rejected

ALERTS_RECEIVED = Counter("alerts_received", "Alerts taken and committed, by our severity.", ["severity"])
ALERTS_CORRELATED = Counter("alerts_correlated", "What became of the alerts taken.", ["result"])
ALERTS_REJECTED = Counter("alerts_rejected", "Alerts kept aside because they could not be accepted.", ["reason"])
ALERT_PROCESSING = Histogram(
    "alert_processing_seconds",
    "Seconds from a request's arrival to the commit of its alerts.",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
INCIDENTS_CREATED = Counter("incidents_created", "Incidents that alerts opened, by severity.", ["severity"])
INCIDENTS_FLAPPING = Counter("incidents_flapping", "Incidents marked because an alert of theirs comes and goes.")
INCIDENTS_RESOLVED = Counter("incident_resolved", "Incidents that were resolved, by their alerts or by a person.")
INCIDENT_DURATION = Histogram(
    "incident_duration_seconds",
    "Seconds from an incident's opening to its resolve.",
    buckets=(5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600, 24 * 3600),
)
REQUESTS_REFUSED = Counter("webhook_requests_refused", "Requests answered by an error, by status.", ["status"])


def count_taken(outcome: "Outcome", rejected: Iterable["Rejected"]) -> None:
    """Count what a request or several brought; call it after the commit."""
    for severity, count in Tally(outcome.severities).items():
        ALERTS_RECEIVED.labels(severity.value).inc(count)
    for result, count in Tally(outcome.results).items():
        ALERTS_CORRELATED.labels(result.value).inc(count)
    for one in rejected:
        ALERTS_REJECTED.labels(one.reason.value).inc()
    count_incidents(outcome)


def count_incidents(outcome: "Outcome") -> None:
    """Count what alerts did to incidents; call it after the commit."""
    for _, severity in outcome.new_incidents:
        INCIDENTS_CREATED.labels(severity.value).inc()
    if outcome.flapping_incidents:
        INCIDENTS_FLAPPING.inc(len(outcome.flapping_incidents))
    count_resolved(outcome.durations)


def count_resolved(durations: Iterable[float]) -> None:
    """Count resolved incidents by the seconds each was open; call it after the commit."""
    for seconds in durations:
        INCIDENTS_RESOLVED.inc()
        INCIDENT_DURATION.observe(seconds)


def metrics_response() -> tuple[bytes, str]:
    """The figures of the whole program in Prometheus' text format, and their content type."""
    registry = REGISTRY
    if os.environ.get(METRICS_VARIABLE):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST
