"""`/metrics` of ims-web: its own requests, and figures of the whole installation read from the database.

The latter come from this program only, so that nobody adds them up twice.
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
    "Seconds ims-web took to answer, by the view's name and the class of the answer.",
    ["view", "answer"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Statistics:
    """What is counted in the database. Means are seconds, None when there was no incident to take one of."""

    incidents: Counts
    """Incidents by status."""
    runs: Counts
    """Active runs by status."""
    mtta: float | None
    mttr: float | None


def observe(app: Flask) -> None:
    """Time every answer of `app`. Views have names of ours: no label takes a value from outside."""

    def end(response: Response) -> Response:
        answer = f"{response.status_code // 100}xx"
        REQUEST_SECONDS.labels(request.endpoint or "none", answer).observe(time.monotonic() - g.began)
        return response

    app.after_request(end)


@dataclass(eq=False)
class DatabaseStatistics(Collector):
    """Figures counted in the database when somebody asks.

    Counting a million incidents takes a moment, and Prometheus may ask each second: the answer is kept for
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
        for name, words, seconds in (
            ("incident_mtta_seconds", "Mean time to acknowledge of the last 7 days.", statistics.mtta),
            ("incident_mttr_seconds", "Mean time to resolve of the last 7 days.", statistics.mttr),
        ):
            # Without an incident there is no mean, and zero would be a lie.
            yield GaugeMetricFamily(name, words, value=seconds)

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not ask the database."""
        return ()


def _gauge(name: str, words: str, values: Counts) -> Metric:
    gauge = GaugeMetricFamily(name, words, labels=["status"])
    for status, count in values.items():
        gauge.add_metric([status], count)
    return gauge


def exposition(statistics: DatabaseStatistics) -> Response:
    """Everything in Prometheus' text format; without the database what the program itself counted."""
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
