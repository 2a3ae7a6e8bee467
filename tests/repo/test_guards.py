"""Every guard has a module, a place in the list, its sentences, a test, and a row of the reference."""

import re
from pathlib import Path

import pytest

from ims.healing.guards import GUARDS
from ims.healing.guards.reference import reference
from ims.healing.guards.verdict import Guard

ROOT = Path(__file__).parents[2]
SUPPORT = {"__init__", "facts", "verdict", "reference"}


def test_every_module_is_in_the_list() -> None:
    modules = {path.stem for path in (ROOT / "ims/healing/guards").glob("*.py")} - SUPPORT
    assert {guard.name for guard in GUARDS} == modules
    assert len(GUARDS) == len(modules)


def test_the_reference_is_generated_from_the_guards() -> None:
    written = (ROOT / "docs/reference/guards.md").read_text(encoding="utf-8")
    assert written == reference(), "regenerate it: python -m ims.healing.guards.reference > docs/reference/guards.md"


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_a_guard_has_a_sentence_and_each_reason_has_a_phrase(guard: Guard) -> None:
    assert guard.sentence.endswith(".")
    assert guard.reasons
    for reason in guard.reasons:
        assert re.fullmatch(r"[a-z_]+", reason.name)
        assert not reason.phrase.endswith(".")
        assert reason.meaning
        assert reason.consequence


@pytest.mark.parametrize("reason", [reason.name for guard in GUARDS for reason in guard.reasons])
def test_every_reason_is_tested(reason: str) -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests/unit").glob("*/test_guards.py"))
    assert f'"{reason}"' in tests
