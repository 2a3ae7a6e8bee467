"""Every metric is documented, and no metric exists only on paper."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMED = set(re.findall(r"(?m)^\| `(\w+)", (ROOT / "docs/reference/metrics.md").read_text()))
# Read from the database when somebody asks, so they are in no registry.
FROM_DATABASE = {"incidents_by_status", "incident_mtta_seconds", "incident_mttr_seconds", "ims_runs_active"}


# In a process of its own: other tests import these modules anew, and a metric can be registered only once.
LISTING = """
import importlib, pathlib
from prometheus_client import REGISTRY
for path in [*pathlib.Path("ims").rglob("*.py"), *pathlib.Path("webhook").rglob("*.py")]:
    if "prometheus_client" in path.read_text():
        importlib.import_module(".".join(path.with_suffix("").parts))
for metric in REGISTRY.collect():
    print(metric.name + ("_total" if metric.type == "counter" else ""))
"""


def test_the_reference_names_every_metric_and_no_other() -> None:
    listed = subprocess.run(
        [sys.executable, "-c", LISTING], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    exported = {name for name in listed.split() if not name.startswith(("python_", "process_"))}
    assert exported | FROM_DATABASE == NAMED
