"""The programs' metrics in Prometheus' text format, correct with several server processes.

A program that serves with several processes sets `PROMETHEUS_MULTIPROC_DIR` before this module is imported: each
process writes its samples there, and the process that answers a scrape adds them up. `ims.core.serving` arranges this.

No label takes a value that a sender chooses: a sender could otherwise exhaust the memory of Prometheus.
"""

import os

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from ims.core.serving import METRICS_VARIABLE


def metrics_response() -> tuple[bytes, str]:
    """The metrics of all processes of the program in Prometheus' text format, and their content type."""
    registry = REGISTRY
    if os.environ.get(METRICS_VARIABLE):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST
