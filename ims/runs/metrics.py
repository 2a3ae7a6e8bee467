"""Figures about runs, exported by the worker."""

from prometheus_client import Counter, Gauge, Histogram

RUNS = Counter("ims_runs", "Runs that reached an outcome, by outcome.", ["outcome"])
STARTED = Counter(
    "ims_run_children",
    "Playbooks started, by the process they got: a warm runner, started ahead, or a new one.",
    ["child"],
)
WARM_RUNNERS = Gauge("ims_warm_runners", "Processes that were started ahead and wait for the next playbook.")
RUN_SECONDS = Histogram(
    "ims_run_seconds",
    "Seconds from the claim of a run to the end of its playbook.",
    buckets=(0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600, 1800),
)
