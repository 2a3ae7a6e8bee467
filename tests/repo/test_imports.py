"""What import-linter's contract in pyproject.toml cannot say."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("ims", "webhook")
DOMAINS = (
    "accounts", "alerts", "audit", "healing", "heartbeats", "incidents", "maintenance", "monitor", "oncall", "policy",
    "reports", "retention", "runs", "services", "sources", "workers",
)  # fmt: skip
# Each of these takes `now` and settings as arguments.
RULES = {
    "batch", "correlation", "decide", "episodes", "flapping", "guards", "ingest", "lanes", "lifeline", "match",
    "models", "permissions", "queries", "schema", "transitions", "usecases",
}  # fmt: skip


def _modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


def _place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


MODULES = list(_modules())


@pytest.mark.parametrize("path", MODULES, ids=_place)
def test_only_the_children_that_read_policy_and_run_playbooks_know_ansible(path: Path) -> None:
    if _place(path).startswith(("ims/policy/reading_", "ims/policy/loading.py")) or _place(path).startswith(
        "ims/runs/"
    ):
        return
    assert not [name for name in _imports(path) if name.split(".")[0] == "ansible"]


@pytest.mark.parametrize("path", MODULES, ids=_place)
def test_rules_read_neither_the_clock_nor_the_environment(path: Path) -> None:
    parts = _place(path).split("/")
    if parts[1] not in DOMAINS or not (path.stem in RULES or "guards" in parts):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            read = f"{node.value.id}.{node.attr}"
            assert read not in {"datetime.now", "time.time", "os.environ", "os.getenv"}, (
                f"{_place(path)}:{node.lineno} reads {read}: take it as an argument"
            )
        if isinstance(node, ast.Name):
            assert node.id != "utc_now", f"{_place(path)}:{node.lineno} reads the clock: take `now` as an argument"
