"""What the guards make of a maintenance window and of flapping."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ims.healing.guards import judge
from ims.healing.guards.maintenance import AGAIN
from ims.policy.windows import Cover
from ims.runs.models import RunOutcome
from tests.unit.healing.test_guards import FACTS, NOW, past

HOUR = timedelta(hours=1)


def covered(left: timedelta = HOUR, **more: Any) -> Any:
    return replace(FACTS, cover=Cover("patching", NOW + left), **more)


def test_a_window_refuses_until_it_ends() -> None:
    verdict = judge(covered(timedelta(seconds=90)))
    assert (verdict.reason, verdict.again, verdict.is_final) == ("maintenance", timedelta(seconds=90), False)
    assert "patching" in verdict.message


def test_a_long_window_is_looked_at_again_meanwhile() -> None:
    assert judge(covered(timedelta(days=30))).again == AGAIN


@pytest.mark.parametrize("more", [{"rule": None}, {"service": None}, {"mode": "off"}, {"parameter_fault": "x"}])
def test_in_a_window_nothing_is_final(more: dict[str, Any]) -> None:
    assert judge(covered(**more)).reason == "maintenance"


def test_a_run_that_is_under_way_is_left_to_finish() -> None:
    assert judge(covered(runs=[past(RunOutcome.RUNNING, ended=None)])).reason == "under_way"


def test_flapping_is_denied_for_good() -> None:
    verdict = judge(replace(FACTS, is_flapping=True))
    assert (verdict.reason, verdict.is_final) == ("flapping", True)


def test_flapping_is_no_reason_where_nothing_would_be_healed_anyway() -> None:
    assert judge(replace(FACTS, is_flapping=True, rule=None)).reason == "no_rule"
    assert judge(replace(FACTS, is_flapping=True, mode="off")).reason == "mode_off"
