"""Only one module writes incidents and timelines, so that everybody who must hear of a change does."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WRITER = "ims/incidents/transitions.py"
SQL = re.compile(
    r"\b(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+(?:public\.)?(?:incident|timeline_event)\b(?!_)", re.IGNORECASE
)
ORM = re.compile(r"\b(?:update|insert|delete)\(\s*(?:Incident|TimelineEvent)\b|\b(?:Incident|TimelineEvent)\(")
MODULES = [
    path
    for package in ("ims", "webhook")
    for path in sorted((ROOT / package).rglob("*.py"))
    if "migrations" not in path.parts
]


def _writes(text: str) -> list[str]:
    without_classes = re.sub(r"^class (?:Incident|TimelineEvent)\(.*$", "", text, flags=re.MULTILINE)
    return SQL.findall(without_classes) + ORM.findall(without_classes)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_only_transitions_writes_incidents_and_timelines(path: Path) -> None:
    found = _writes(path.read_text())
    if path.relative_to(ROOT).as_posix() == WRITER:
        assert found, "this test would not see a writer"
    else:
        assert not found, f"{path.relative_to(ROOT)} writes incidents by itself: {found}"


@pytest.mark.parametrize(
    "text", ["UPDATE incident SET x = 1", "insert into  timeline_event", "update(Incident)", "Incident(id=1)"]
)
def test_a_writer_would_be_seen(text: str) -> None:
    assert _writes(text)


@pytest.mark.parametrize("text", ["UPDATE incident_daily SET", "FROM incident", "class Incident(Base):"])
def test_a_reader_is_none(text: str) -> None:
    assert not _writes(text)
