"""Metrics of retention, exported by the worker."""

from prometheus_client import Counter, Gauge

REMOVED = Counter("ims_retention_removed", "Rows that retention removed, by kind.", ["kind"])
LAST_RUN = Gauge("ims_retention_last_run_timestamp_seconds", "When this worker last completed a run of retention.")
