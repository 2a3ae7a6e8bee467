"""Imports point one way, so that a room can be changed without walking through the whole house."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("ims", "webhook")

# A file's layer by its name; a module may import from its own layer and from lower ones.
LAYERS = {"models": 0, "queries": 1, "actions": 2, "jobs": 3, "views": 3, "commands": 3}
FLASK = ("flask", "flask_wtf", "werkzeug", "jinja2")
WEB_PLACES = ("ims/http/", "ims/web/", "ims/app.py", "webhook/")


def _modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


MODULES = list(_modules())


@pytest.mark.parametrize("path", MODULES, ids=_place)
def test_a_module_imports_only_from_its_own_layer_and_below(path: Path) -> None:
    layer = LAYERS.get(path.stem)
    if layer is None or not _place(path).startswith("ims/"):
        return
    for name in _imports(path):
        parts = name.split(".")
        if parts[0] == "ims" and len(parts) > 2 and parts[2] in LAYERS:
            assert LAYERS[parts[2]] <= layer, f"{_place(path)} imports {name}, which lies above it"


@pytest.mark.parametrize("path", MODULES, ids=_place)
def test_only_views_know_flask(path: Path) -> None:
    if path.stem == "views" or _place(path).startswith(WEB_PLACES):
        return
    assert not [name for name in _imports(path) if name.split(".")[0] in FLASK]


@pytest.mark.parametrize("path", MODULES, ids=_place)
def test_only_the_runs_room_knows_ansible_runner(path: Path) -> None:
    if _place(path).startswith("ims/runs/"):
        return
    assert not [name for name in _imports(path) if name.split(".")[0] == "ansible_runner"]


@pytest.mark.parametrize("path", MODULES, ids=_place)
def test_only_the_children_that_read_policy_and_run_playbooks_know_ansible(path: Path) -> None:
    if _place(path) == "ims/policy/reading_child.py" or _place(path).startswith("ims/runs/"):
        return
    assert not [name for name in _imports(path) if name.split(".")[0] == "ansible"]


@pytest.mark.parametrize("path", MODULES, ids=_place)
def test_the_webhook_is_never_imported_by_the_domains(path: Path) -> None:
    if _place(path).startswith("webhook/"):
        return
    assert not [name for name in _imports(path) if name.split(".")[0] == "webhook"]


@pytest.mark.parametrize("path", MODULES, ids=_place)
def test_rules_read_neither_the_clock_nor_the_environment(path: Path) -> None:
    if path.stem not in {"models", "actions", "queries", "guards", "match", "correlation", "schema", "lifeline"}:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            read = f"{node.value.id}.{node.attr}"
            assert read not in {"datetime.now", "time.time", "os.environ", "os.getenv"}, (
                f"{_place(path)}:{node.lineno} reads {read}: take it as an argument"
            )
