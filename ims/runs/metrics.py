"""Metrics about runs, exported by the worker."""

from prometheus_client import Counter, Gauge, Histogram

RUNS = Counter("ims_runs", "Runs that reached an outcome, by outcome.", ["outcome"])
STARTED = Counter(
    "ims_run_children",
    "Playbooks started, by the process that executed them: a warm runner or a new process.",
    ["child"],
)
WARM_RUNNERS = Gauge("ims_warm_runners", "Warm runners that are ready for the next playbook.")
RUN_SECONDS = Histogram(
    "ims_run_seconds",
    "Seconds from the claim of a run to the end of its playbook.",
    buckets=(0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600, 1800),
)
