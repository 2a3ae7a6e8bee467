"""Every metric is documented, and no metric exists only on paper."""

import importlib
import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

ROOT = Path(__file__).resolve().parents[2]
NAMED = set(re.findall(r"(?m)^\| `(\w+)", (ROOT / "docs/reference/metrics.md").read_text()))
# Read from the database when somebody asks, so they are in no registry.
FROM_DATABASE = {"incidents_by_status", "incident_mtta_seconds", "incident_mttr_seconds", "ims_runs_active"}


def _metrics() -> set[str]:
    for path in [*(ROOT / "ims").rglob("*.py"), *(ROOT / "webhook").rglob("*.py")]:
        if "prometheus_client" in path.read_text():
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return {
        metric.name + ("_total" if metric.type == "counter" else "")
        for metric in REGISTRY.collect()
        if not metric.name.startswith(("python_", "process_"))
    }


@pytest.mark.parametrize("name", sorted(_metrics()))
def test_a_metric_stands_in_the_reference(name: str) -> None:
    assert name in NAMED


def test_the_reference_names_no_metric_that_does_not_exist() -> None:
    assert _metrics() >= NAMED - FROM_DATABASE
