"""Figures about sources, exported by the worker. A label `source` holds names that administrators gave."""

from prometheus_client import Counter, Gauge

RECONCILIATIONS = Counter("ims_source_reconciliations", "Times a source's own Alertmanager was asked, by result.", ["result"])
RECONCILED = Counter(
    "ims_source_alerts_reconciled", "Alerts of which a notification was missed, by what was done.", ["done"]
)
STALE = Gauge("ims_source_stale", "1 if nothing came from the source for too long, else 0.", ["source"])
WITHHELD = Gauge(
    "ims_source_reconciliation_withheld",
    "Alerts not listed that go on, for their Alertmanager is not believed.",
    ["source"],
)
REJECTED_KEPT = Gauge("ims_dead_letters", "Dead letters that wait for somebody, up to 10,000.")
