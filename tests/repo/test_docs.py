"""Pages name settings, metrics, files, headings and API paths that exist; `test_command.py` checks their commands."""

import re
from pathlib import Path

import pytest
import yaml

from ims.core.settings import Settings
from ims.programs.web import GROUPS
from ims.sources.definition import PATHS

ROOT = Path(__file__).resolve().parents[2]
UPGRADING = ROOT / "docs/upgrading.md"
"""Its tables hold the old name in the first column and the new one in the second."""
HISTORY = {UPGRADING, ROOT / "CHANGELOG.md"}
"""They name what there was before."""
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "findings/README.md",
         *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("roles/*/README.md"))]  # fmt: skip
TODAY = [page for page in PAGES if page not in HISTORY]

EXAMPLES = {
    "ims/healing/guards/weekday.py", "tests/unit/healing/test_weekday.py", "ims/notification/teams.py",
    "tests/integration/notification/test_teams.py", "inventory/production",
}  # fmt: skip
"""Files that a worked example of a page has its reader write."""
DATABASE_ROLES = {"ims_app", "ims_owner"}
PROGRAM_PATHS = {"/health", "/health/ready", "/metrics", "/audit.jsonl", *PATHS.values()}
ALERTMANAGER_PATHS = {"/api/v2/alerts", "/api/v2/alerts/groups", "/api/v2/status"}

_SETTING = re.compile(r"\bIMS_[A-Z0-9_]*[A-Z0-9]\b(?!\*|_\*)")
_CODE = re.compile(r"`([^`\n]+)`")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_IMS_NAME = re.compile(r"\bims_[a-z0-9_]*[a-z0-9]\b")
_REQUEST = re.compile(r"`(GET|POST|PATCH|PUT|DELETE) (/[^`\s]*)`|`(/api/v[^`\s]*)`")


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def settings_of_the_tree() -> set[str]:
    """The settings, and what scripts, the command and tests read from the environment besides."""
    settings = {f"IMS_{name.upper()}" for name in Settings.model_fields}
    found = {f"{name}_FILE" for name in settings} | settings
    scripts = [ROOT / "Makefile", *(path for folder in ("bin", ".ci") for path in (ROOT / folder).glob("*"))]
    for path in scripts:
        found.update(_SETTING.findall(read(path)) if path.is_file() else ())
    for path in (ROOT / "ims").rglob("*.py"):
        found.update(re.findall(r"\"(IMS_[A-Z0-9_]+)\"", read(path)))
    for folder in ("tests", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            found.update(re.findall(r"environ\b[^\n]*\"(IMS_[A-Z0-9_]+)\"", read(path)))
    return found


def metrics_of_the_reference() -> dict[str, str]:
    """The metrics with their labels; `test_metrics.py` compares their names with the code."""
    rows = re.findall(r"(?m)^\| `(\w+)(\{[\w,]+\})?`", read(ROOT / "docs/reference/metrics.md"))
    return dict(rows)


def role_variables() -> set[str]:
    found: set[str] = set()
    for path in ROOT.glob("roles/*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(read(path))["argument_specs"].values():
            found.update(entry.get("options", {}))
    for path in ROOT.glob("inventory/local/group_vars/all/*.yml"):
        found.update(yaml.safe_load(read(path)) or {})
    return found


def operations() -> set[str]:
    return {re.sub(r"\{\w+\}", "{}", operation.path) for group in GROUPS for operation in group.operations}


def anchors(page: Path) -> set[str]:
    """The fragments by which the headings of a page are linked, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.+)$", _FENCE.sub("", read(page)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_there(path: str) -> bool:
    """Whether a path of the tree exists; a part in angle brackets, an ellipsis and a star stand for anything."""
    pattern = re.sub(r"<[^>]+>|…|\*+", "*", path).rstrip("/")
    return any(ROOT.glob(pattern))


def paths_in(text: str) -> set[str]:
    """Words of code that begin with a folder of the tree."""
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()}
    words = {word for code in _CODE.findall(_FENCE.sub("", text)) for word in code.split()}
    found = {word.split(":")[0].split("#")[0] for word in words if "/" in word and word.split("/")[0] in folders}
    return found - {word for word in found if word.startswith((".venv", "ims/core:"))}


SETTINGS = settings_of_the_tree()
METRICS = metrics_of_the_reference()
ROLE_VARIABLES = role_variables()
OPERATIONS = operations()
page_by_page = pytest.mark.parametrize("page", TODAY, ids=lambda page: page.relative_to(ROOT).as_posix())


@page_by_page
def test_settings_exist(page: Path) -> None:
    assert set(_SETTING.findall(read(page))) <= SETTINGS


@page_by_page
def test_metrics_and_role_variables_exist(page: Path) -> None:
    code = " ".join(_CODE.findall(_FENCE.sub("", read(page))))
    known = METRICS.keys() | ROLE_VARIABLES | DATABASE_ROLES
    assert {name for name in _IMS_NAME.findall(code) if name not in known} == set()


@page_by_page
def test_metrics_have_the_labels_of_the_reference(page: Path) -> None:
    labelled = re.findall(r"`(\w+)(\{[\w,]+\})`", read(page))
    assert {name: METRICS[name] for name, _ in labelled if name in METRICS} == {
        name: labels for name, labels in labelled if name in METRICS
    }


@page_by_page
def test_files_exist(page: Path) -> None:
    assert {path for path in paths_in(read(page)) - EXAMPLES if not is_there(path)} == set()


@page_by_page
def test_paths_of_the_api_exist(page: Path) -> None:
    for _, with_method, alone in _REQUEST.findall(read(page)):
        path = re.sub(r"<\w+>|\{\w+\}|R-7|INC-\d+|D-\d+", "{}", (with_method or alone).split("?")[0])
        known = OPERATIONS | PROGRAM_PATHS | {re.sub(r"<\w+>", "{}", one) for one in PROGRAM_PATHS} | ALERTMANAGER_PATHS
        known |= {f"/api/v1{one}" for one in OPERATIONS} | {"/api/v1", "/api/v1/openapi.json"}
        assert path in known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    broken = []
    for link in _LINK.findall(_FENCE.sub("", read(page))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, fragment = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (fragment and fragment not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_upgrading_names_what_is_gone_and_what_took_its_place() -> None:
    rows = [row.split(" | ") for row in read(UPGRADING).splitlines() if row.startswith("| `") and " | " in row]
    before, now = (" ".join(row[column] for row in rows) for column in (0, 1))
    assert set(_SETTING.findall(now)) <= SETTINGS
    assert not set(_SETTING.findall(before)) & SETTINGS
    metrics = {row[0].strip("| ") for row in rows if row[0].startswith("| `ims_") and "=" not in row[0]}
    gone = {name for row in metrics for name in _IMS_NAME.findall(row)}
    assert gone
    assert not gone & METRICS.keys()
    assert set(_IMS_NAME.findall(now)) <= METRICS.keys() | ROLE_VARIABLES


@pytest.mark.parametrize(
    ("text", "missing"),
    [("`ims/core/clock.py`", False), ("`ims/utils.py`", True), ("`roles/<name>/README.md`", False)],
)
def test_a_file_that_is_not_there_is_found(text: str, missing: bool) -> None:
    assert any(not is_there(path) for path in paths_in(text)) == missing
