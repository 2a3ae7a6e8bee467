"""Metrics of on-call schedules, exported by the worker."""

from prometheus_client import Gauge

GAP_SECONDS = Gauge(
    "ims_oncall_gap_seconds", "Seconds of the next 28 days in which nobody is on call, by schedule.", ["schedule"]
)
