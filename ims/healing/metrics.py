"""Metrics of decisions and verifications, exported by the worker."""

from prometheus_client import Counter, Histogram

DECISIONS = Counter("ims_healing_decisions", "Decisions about open episodes, by reason.", ["reason"])
PROBES = Counter("ims_healing_probes", "Probes of services to verify runs, by result.", ["result"])
VERIFICATION_SECONDS = Histogram(
    "ims_verification_seconds",
    "Seconds from the end of a playbook to the outcome of its verification.",
    buckets=(1, 2, 3, 5, 10, 20, 30, 60, 120, 300),
)
