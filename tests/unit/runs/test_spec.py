"""What a run is to do: refused when it is nonsense, the same after it was stored, known by its digest."""

from itertools import product
from typing import Any

import pytest
from pydantic import ValidationError

from ims.core.errors import IMSError
from ims.runs.models import RunOutcome, RunStatus, VerificationStatus, outcome_of
from ims.runs.spec import Kind, Mode, RunSpec, SpecUnreadable

FIELDS: dict[str, Any] = {"kind": Kind.PLAN, "playbook": "site.yml", "target": "shop", "timeout": 60}


def test_a_run_holds_its_target_unless_it_says_otherwise() -> None:
    spec = RunSpec(**FIELDS)
    assert (spec.lock_keys, spec.mode, spec.verification, spec.is_check) == (("shop",), Mode.APPLY, None, False)


@pytest.mark.parametrize(
    "wrong",
    [{"timeout": 0}, {"timeout": 1e9}, {"kind": "dance"}, {"mode": "maybe"}, {"lock_keys": ("shop", "machine")},
     {"lock_keys": ()}, {"extra": 1}, {"version": 2}],
)  # fmt: skip
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RunSpec(**{**FIELDS, **wrong})


def test_parameters_keep_their_types_and_never_show_in_an_error() -> None:
    spec = RunSpec(**FIELDS, parameters={"size": 3, "force": True, "name": "true"})
    assert RunSpec.from_stored(spec.stored()).parameters == {"size": 3, "force": True, "name": "true"}
    with pytest.raises(ValidationError) as raised:
        RunSpec(**FIELDS, parameters={"token": ["swordfish"]})
    assert "swordfish" not in str(raised.value)


def test_a_spec_of_another_version_is_an_error_of_ours() -> None:
    with pytest.raises(SpecUnreadable) as raised:
        RunSpec.from_stored({**RunSpec(**FIELDS).stored(), "version": 2})
    assert isinstance(raised.value, IMSError)


@pytest.mark.parametrize(
    "change", [{"mode": Mode.CHECK}, {"timeout": 61}, {"target": "mail"}, {"parameters": {"a": 1}}]
)
def test_the_digest_changes_with_anything(change: dict[str, Any]) -> None:
    assert RunSpec(**FIELDS).digest == RunSpec(**FIELDS).digest
    assert RunSpec(**{**FIELDS, **change}).digest != RunSpec(**FIELDS).digest


def test_only_a_healing_run_heals() -> None:
    outcomes = {
        (kind, verification): outcome_of(kind, RunStatus.SUCCEEDED, verification)
        for kind, verification in product(("heal", "operate"), (None, *VerificationStatus))
    }
    assert [key for key, outcome in outcomes.items() if outcome is RunOutcome.HEALED] == [("heal", "passed")]
    assert outcomes["operate", VerificationStatus.PASSED] is RunOutcome.SUCCEEDED
    assert outcome_of("heal", RunStatus.UNKNOWN, VerificationStatus.PASSED) is RunOutcome.UNKNOWN
