"""Metrics of alerts and of the incidents that they open. No label has a value that a sender chooses."""

from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import Counter, Histogram

from ims.alerts.episodes import Result
from ims.alerts.ingest import Outcome
from ims.alerts.notifications import Parsed, Rejected
from ims.incidents.metrics import count_resolved

ALERTS_RECEIVED = Counter("alerts_received", "Alerts accepted and committed, by mapped severity.", ["severity"])

ALERTS_CORRELATED = Counter("alerts_correlated", "Accepted alerts, by result of correlation.", ["result"])

ALERTS_REJECTED = Counter("alerts_rejected", "Invalid alerts stored as dead letters, by reason.", ["reason"])

ALERTS_TRUNCATED = Counter("alerts_truncated", "Alerts that senders left out of their notifications.")

ALERT_PROCESSING = Histogram(
    "alert_processing_seconds",
    "Seconds from a request's arrival to the commit of its alerts.",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)

INCIDENTS_CREATED = Counter("incidents_created", "Incidents that alerts opened, by severity.", ["severity"])

INCIDENTS_FLAPPING = Counter("incidents_flapping", "Incidents marked as flapping.")


def count_request(parsed: Parsed, seconds: float) -> None:
    """Count a request whose alerts were committed `seconds` after its arrival.

    The commit does not know the alerts that are ignored because they ask for nothing, such as a test message.
    """
    ALERT_PROCESSING.observe(seconds)
    if parsed.ignored:
        ALERTS_CORRELATED.labels(Result.IGNORED.value).inc(len(parsed.ignored))


def count_taken(outcome: Outcome, rejected: Iterable[Rejected]) -> None:
    """Count the alerts of one or several requests; call it after the commit."""
    for severity, count in Tally(outcome.severities).items():
        ALERTS_RECEIVED.labels(severity.value).inc(count)
    for result, count in Tally(outcome.results).items():
        ALERTS_CORRELATED.labels(result.value).inc(count)
    for one in rejected:
        ALERTS_REJECTED.labels(one.reason.value).inc()
    count_incidents(outcome)


def count_incidents(outcome: Outcome) -> None:
    """Count the incidents that alerts opened, resolved or made flapping; call it after the commit."""
    for _, severity in outcome.new_incidents:
        INCIDENTS_CREATED.labels(severity.value).inc()
    if outcome.flapping_incidents:
        INCIDENTS_FLAPPING.inc(len(outcome.flapping_incidents))
    count_resolved(outcome.durations)
