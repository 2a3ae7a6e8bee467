"""Metrics of maintenance windows, exported by the worker."""

from prometheus_client import Counter, Gauge

WINDOWS_OPEN = Gauge("ims_maintenance_windows_open", "Maintenance windows that are open.")
MARKS = Counter(
    "ims_maintenance_marks", "Changes of incidents' maintenance marks by the engine: set or cleared.", ["change"]
)
