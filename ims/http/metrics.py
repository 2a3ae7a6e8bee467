"""`/metrics` of ims-web: its own requests, and statistics of the whole installation, read from the database.

Only this program exports the statistics, so that a sum over all programs does not count them twice.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from flask import Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from ims.core.errors import DatabaseAway
from ims.core.log import logger
from ims.core.serving import METRICS_VARIABLE

log = logger(__name__)

REQUEST_SECONDS = Histogram(
    "ims_web_request_seconds",
    "Seconds ims-web took to answer a request, by view and class of the status code.",
    ["view", "answer"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts and means from the database. Means are seconds, None without an incident to compute one from."""

    incidents: Counts
    """Incidents by status."""
    runs: Counts
    """Active runs by status."""
    mtta: float | None
    mttr: float | None


def observe(app: Flask) -> None:
    """Measure every request of `app`. Labels are names of our views: none takes an untrusted value."""

    def end(response: Response) -> Response:
        answer = f"{response.status_code // 100}xx"
        REQUEST_SECONDS.labels(request.endpoint or "none", answer).observe(time.monotonic() - g.began)
        return response

    app.after_request(end)


@dataclass(eq=False)
class DatabaseStatistics(Collector):
    """Statistics, counted in the database at a scrape.

    Counting a million incidents takes a moment, and Prometheus may scrape every second: a result is kept for
    `rest` times as long as it took, so that counting takes a few per cent of the time whatever the size.
    """

    read: Callable[[], "Statistics"]
    rest: float = 20
    _kept: "Statistics | None" = None
    _until: float = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def collect(self) -> Iterable[Metric]:
        """The gauges. Raises `DatabaseAway`."""
        with self._lock:
            began = time.monotonic()
            if self._kept is None or began >= self._until:
                self._kept = self.read()
                ended = time.monotonic()
                self._until = ended + self.rest * (ended - began)
            statistics = self._kept
        yield _gauge("incidents_by_status", "Incidents, by status.", statistics.incidents)
        yield _gauge("ims_runs_active", "Runs that are queued, running or being verified.", statistics.runs)
        for name, documentation, seconds in (
            ("incident_mtta_seconds", "Mean time to acknowledge of the last 7 days.", statistics.mtta),
            ("incident_mttr_seconds", "Mean time to resolve of the last 7 days.", statistics.mttr),
        ):
            # Without an incident there is no mean: the metric is left out, since zero would be wrong.
            yield GaugeMetricFamily(name, documentation, value=seconds)

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not query the database."""
        return ()


def _gauge(name: str, documentation: str, values: Counts) -> Metric:
    gauge = GaugeMetricFamily(name, documentation, labels=["status"])
    for status, count in values.items():
        gauge.add_metric([status], count)
    return gauge


def exposition(statistics: DatabaseStatistics) -> Response:
    """All metrics in Prometheus' text format; only the program's own while the database is away."""
    own: CollectorRegistry = REGISTRY
    if os.environ.get(METRICS_VARIABLE):
        own = CollectorRegistry()
        MultiProcessCollector(own)  # type: ignore[no-untyped-call]
    text = generate_latest(own)
    shared = CollectorRegistry()
    shared.register(statistics)
    try:
        text += generate_latest(shared)
    except DatabaseAway:
        log.warning("metrics_without_database")
    return Response(text, content_type=CONTENT_TYPE_LATEST)
