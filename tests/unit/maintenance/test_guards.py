"""What the guards make of a maintenance window and of flapping."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ims.healing.guards import MAINTENANCE_AGAIN, Reason, judge
from ims.policy.windows import Cover
from ims.runs.models import RunStatus
from tests.unit.healing.test_guards import FACTS, NOW, past

HOUR = timedelta(hours=1)


def covered(left: timedelta = HOUR, **more: Any) -> Any:
    return replace(FACTS, cover=Cover("patching", NOW + left), **more)


def test_a_window_refuses_until_it_ends() -> None:
    verdict = judge(covered(timedelta(seconds=90)))
    assert (verdict.reason, verdict.again, verdict.is_final) == (Reason.MAINTENANCE, timedelta(seconds=90), False)
    assert "patching" in verdict.message


def test_a_long_window_is_looked_at_again_meanwhile() -> None:
    assert judge(covered(timedelta(days=30))).again == MAINTENANCE_AGAIN


@pytest.mark.parametrize("more", [{"rule": None}, {"service": None}, {"mode": "off"}, {"parameter_fault": "x"}])
def test_in_a_window_nothing_is_final(more: dict[str, Any]) -> None:
    assert judge(covered(**more)).reason is Reason.MAINTENANCE


def test_a_run_that_is_under_way_is_left_to_finish() -> None:
    assert judge(covered(runs=[past(RunStatus.RUNNING, ended=None)])).reason is Reason.UNDER_WAY


def test_flapping_is_refused_for_good() -> None:
    verdict = judge(replace(FACTS, is_flapping=True))
    assert (verdict.reason, verdict.is_final) == (Reason.FLAPPING, True)


def test_flapping_is_no_reason_where_nothing_would_be_healed_anyway() -> None:
    assert judge(replace(FACTS, is_flapping=True, rule=None)).reason is Reason.NO_RULE
    assert judge(replace(FACTS, is_flapping=True, mode="off")).reason is Reason.MODE_OFF
