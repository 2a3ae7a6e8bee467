"""Figures about sources, exported by the worker. A label `source` holds names that administrators gave."""

from prometheus_client import Counter, Gauge

REPAIRS = Counter("ims_source_repairs", "Times a source's own Alertmanager was asked, by result.", ["result"])
REPAIRED = Counter("ims_source_alerts_repaired", "Alerts of which a notice was missed, by what was done.", ["done"])
SILENT = Gauge("ims_source_silent", "1 if nothing came from the source for too long, else 0.", ["source"])
HELD = Gauge(
    "ims_source_repair_held",
    "Alerts not listed that go on, for their Alertmanager is not believed.",
    ["source"],
)
REJECTED_KEPT = Gauge("ims_rejected_alerts", "Rejected alerts that wait for somebody, up to 10,000.")
