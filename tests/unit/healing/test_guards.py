"""The guards: what allows a run, what refuses it, what only delays it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ims.healing.guards import BUSY_RETRY, Facts, PastRun, Reason, judge, next_attempt
from ims.policy.schema import HealingRule, Service, VerifyWindow
from ims.runs.models import RunStatus
from ims.runs.usecases import STILL_FIRING_CHECK

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RULE = HealingRule(
    name="restart",
    match={"alertname": "ServiceDown"},
    playbook="playbooks/heal/restart.yml",
    attempts=2,
    cooldown=30.0,
    verify=VerifyWindow(green_for=3.0, within=60.0),
)
SERVICE = Service(name="shop", service="shop", service_recovery="ims")
FACTS = Facts(
    mode="auto",
    rule=RULE,
    service=SERVICE,
    opened_at=NOW,
    runs=(),
    target_is_busy=False,
    target_ended_at=None,
    parameter_fault=None,
    now=NOW,
)


def past(status: RunStatus, attempt: int = 1, *, ended: datetime | None = NOW, **more: Any) -> PastRun:
    values: dict[str, Any] = {"was_started": True, "was_seen_well": status is RunStatus.HEALED, **more}
    return PastRun(rule="restart", attempt=attempt, status=status, ended_at=ended, **values)


def reason(**changes: Any) -> Reason:
    return judge(replace(FACTS, **changes)).reason


def test_a_matching_rule_on_a_service_that_ims_recovers_is_allowed() -> None:
    verdict = judge(FACTS)
    assert verdict.reason is Reason.ALLOWED
    assert not verdict.is_refusal
    assert not verdict.is_final


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"rule": None}, Reason.NO_RULE),
        ({"service": None}, Reason.NO_TARGET),
        ({"mode": "off"}, Reason.MODE_OFF),
        ({"mode": "observe"}, Reason.OBSERVE),
        ({"service": SERVICE.model_copy(update={"service_recovery": "manual"})}, Reason.MANUAL),
        ({"parameter_fault": "Parameter size is no whole number."}, Reason.PARAMETER),
        ({"runs": [past(RunStatus.FAILED), past(RunStatus.INEFFECTIVE, 2)]}, Reason.ATTEMPTS),
        ({"runs": [past(RunStatus.UNKNOWN)]}, Reason.NOT_REPEATABLE),
        ({"runs": [past(RunStatus.CANCELLED)]}, Reason.NOT_REPEATABLE),
    ],
)
def test_a_final_refusal_needs_a_person(changes: dict[str, Any], expected: Reason) -> None:
    verdict = judge(replace(FACTS, **changes))
    assert verdict.reason is expected
    assert verdict.is_final
    assert verdict.message.endswith(".")


def test_observing_tells_what_would_have_run() -> None:
    message = judge(replace(FACTS, mode="observe")).message
    assert "playbooks/heal/restart.yml" in message
    assert "shop" in message


def test_what_the_platform_restarts_is_left_to_it_for_the_time_of_a_verification() -> None:
    by_platform = SERVICE.model_copy(update={"service_recovery": "platform"})
    early = judge(replace(FACTS, service=by_platform, now=NOW + timedelta(seconds=20)))
    assert (early.reason, early.again) == (Reason.SELF, timedelta(seconds=40))
    late = judge(replace(FACTS, service=by_platform, now=NOW + timedelta(seconds=60)))
    assert late.reason is Reason.SELF
    assert late.is_final


def test_a_busy_target_only_delays() -> None:
    verdict = judge(replace(FACTS, target_is_busy=True))
    assert (verdict.reason, verdict.again) == (Reason.TARGET_BUSY, BUSY_RETRY)


def test_the_cooldown_counts_from_the_end_of_the_last_run_on_the_target() -> None:
    cooling = judge(replace(FACTS, target_ended_at=NOW - timedelta(seconds=10)))
    assert (cooling.reason, cooling.again) == (Reason.COOLDOWN, timedelta(seconds=20))
    assert reason(target_ended_at=NOW - timedelta(seconds=30)) is Reason.ALLOWED


@pytest.mark.parametrize("status", [RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.VERIFYING])
def test_nothing_is_decided_while_a_run_of_the_episode_is_under_way(status: RunStatus) -> None:
    verdict = judge(replace(FACTS, runs=[past(status, ended=None)]))
    assert verdict.reason is Reason.UNDER_WAY
    assert not verdict.is_refusal


def test_a_lost_run_is_under_way_until_its_service_was_probed() -> None:
    assert reason(runs=[past(RunStatus.UNKNOWN, ended=None)]) is Reason.UNDER_WAY


def test_a_run_whose_end_nobody_saw_may_be_repeated_if_the_rule_says_so() -> None:
    rule = RULE.model_copy(update={"safe_to_repeat": True})
    assert reason(rule=rule, runs=[past(RunStatus.UNKNOWN)]) is Reason.ALLOWED
    assert next_attempt(replace(FACTS, rule=rule, runs=[past(RunStatus.UNKNOWN)])) == 2


def test_a_run_that_never_started_is_no_attempt() -> None:
    never = past(RunStatus.CANCELLED, was_started=False)
    facts = replace(FACTS, runs=[never, past(RunStatus.FAILED, 2)])
    assert judge(facts).reason is Reason.ALLOWED
    assert next_attempt(facts) == 3


def test_attempts_of_another_rule_do_not_count() -> None:
    others = [replace(past(RunStatus.FAILED, number), rule="other") for number in (1, 2, 3)]
    facts = replace(FACTS, runs=others)
    assert judge(facts).reason is Reason.ALLOWED
    assert next_attempt(facts) == 1


@pytest.mark.parametrize("status", [RunStatus.HEALED, RunStatus.UNKNOWN])
def test_a_service_that_was_verified_well_is_not_healed_again_and_people_look_if_the_alert_stays(
    status: RunStatus,
) -> None:
    runs = [past(status, was_seen_well=True)]
    soon = judge(replace(FACTS, runs=runs, now=NOW + timedelta(seconds=30)))
    assert (soon.reason, soon.again) == (Reason.UNDER_WAY, STILL_FIRING_CHECK - timedelta(seconds=30))
    late = judge(replace(FACTS, runs=runs, now=NOW + STILL_FIRING_CHECK))
    assert late.reason is Reason.STILL_FIRING
    assert late.is_final


def test_what_makes_a_run_pointless_is_said_before_what_only_delays_it() -> None:
    assert reason(target_is_busy=True, mode="off") is Reason.MODE_OFF
    assert reason(target_is_busy=True, runs=[past(RunStatus.FAILED), past(RunStatus.FAILED, 2)]) is Reason.ATTEMPTS
