"""Metrics of sources, exported by the worker. Label `source` has names that administrators gave."""

from prometheus_client import Counter, Gauge

RECONCILIATIONS = Counter(
    "ims_source_reconciliations", "Reconciliations with a source's Alertmanager, by result.", ["result"]
)
RECONCILED = Counter(
    "ims_source_alerts_reconciled", "Alerts that reconciliation opened or closed, by which of both was done.", ["done"]
)
STALE = Gauge("ims_source_stale", "1 if the source is stale, else 0.", ["source"])
WITHHELD = Gauge(
    "ims_source_reconciliation_withheld",
    "Open alerts that Alertmanager does not list, withheld from closing because its answer is uncertain.",
    ["source"],
)
REJECTED_KEPT = Gauge("ims_dead_letters", "Dead letters stored, counted up to 10,000.")
