"""The guards: which facts allow a run, deny it, or only delay it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ims.healing.guards import GUARDS, conclude, evaluate, judge
from ims.healing.guards.facts import Facts, PastRun, next_attempt
from ims.healing.guards.target_busy import BUSY_RETRY
from ims.healing.guards.verdict import Answer
from ims.healing.specs import healing_spec
from ims.policy.schema import HealingRule, Service, VerifyWindow
from ims.policy.windows import Cover
from ims.runs.models import ACTIVE, RunOutcome
from ims.runs.spec import RunSpec, VerificationSpec
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


def past(outcome: RunOutcome, attempt: int = 1, *, ended: datetime | None = NOW, **more: Any) -> PastRun:
    values: dict[str, Any] = {"was_started": True, "verification_passed": outcome is RunOutcome.HEALED, **more}
    return PastRun(rule="restart", attempt=attempt, outcome=outcome, ended_at=ended, **values)


def reason(**changes: Any) -> str:
    return judge(replace(FACTS, **changes)).reason


def test_a_matching_rule_on_a_service_that_ims_recovers_is_allowed() -> None:
    verdict = judge(FACTS)
    assert verdict.reason == "allowed"
    assert not verdict.is_denial
    assert not verdict.is_final


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"rule": None}, "no_rule"),
        ({"service": None}, "no_target"),
        ({"mode": "off"}, "mode_off"),
        ({"mode": "observe"}, "observe"),
        ({"service": SERVICE.model_copy(update={"service_recovery": "manual"})}, "manual"),
        ({"parameter_fault": "Parameter size is not a whole number."}, "parameter"),
        ({"runs": [past(RunOutcome.FAILED), past(RunOutcome.INEFFECTIVE, 2)]}, "attempts"),
        ({"runs": [past(RunOutcome.UNKNOWN)]}, "not_repeatable"),
        ({"runs": [past(RunOutcome.CANCELLED, cut_short=True)]}, "not_repeatable"),
        ({"runs": [past(RunOutcome.TIMED_OUT, cut_short=True)]}, "not_repeatable"),
    ],
)
def test_a_denial_is_final_and_says_why(changes: dict[str, Any], expected: str) -> None:
    verdict = judge(replace(FACTS, **changes))
    assert verdict.reason == expected
    assert verdict.is_final
    assert verdict.message.endswith(".")


def test_observing_names_what_would_have_run() -> None:
    message = judge(replace(FACTS, mode="observe")).message
    assert "playbooks/heal/restart.yml" in message
    assert "shop" in message


def test_what_the_platform_restarts_is_left_to_it_for_the_time_of_a_verification() -> None:
    by_platform = SERVICE.model_copy(update={"service_recovery": "platform"})
    early = judge(replace(FACTS, service=by_platform, now=NOW + timedelta(seconds=20)))
    assert (early.reason, early.again) == ("platform_managed", timedelta(seconds=40))
    late = judge(replace(FACTS, service=by_platform, now=NOW + timedelta(seconds=60)))
    assert late.reason == "platform_managed"
    assert late.is_final


def test_a_busy_target_only_delays() -> None:
    verdict = judge(replace(FACTS, target_is_busy=True))
    assert (verdict.reason, verdict.again) == ("target_busy", BUSY_RETRY)


def test_the_cooldown_counts_from_the_end_of_the_last_run_on_the_target() -> None:
    cooling = judge(replace(FACTS, target_ended_at=NOW - timedelta(seconds=10)))
    assert (cooling.reason, cooling.again) == ("cooldown", timedelta(seconds=20))
    assert reason(target_ended_at=NOW - timedelta(seconds=30)) == "allowed"


@pytest.mark.parametrize("status", [*ACTIVE, RunOutcome.AWAITING_APPROVAL])
def test_nothing_is_decided_while_a_run_of_the_episode_is_under_way(status: RunOutcome) -> None:
    verdict = judge(replace(FACTS, runs=[past(status, ended=None)]))
    assert verdict.reason == "under_way"
    assert not verdict.is_denial


def test_a_lost_run_is_under_way_until_its_service_was_probed() -> None:
    assert reason(runs=[past(RunOutcome.UNKNOWN, ended=None)]) == "under_way"


def test_a_run_that_was_cut_short_may_be_repeated_if_the_rule_says_so() -> None:
    rule = RULE.model_copy(update={"safe_to_repeat": True})
    assert reason(rule=rule, runs=[past(RunOutcome.UNKNOWN)]) == "allowed"
    assert reason(rule=rule, runs=[past(RunOutcome.TIMED_OUT, cut_short=True)]) == "allowed"
    assert next_attempt(replace(FACTS, rule=rule, runs=[past(RunOutcome.UNKNOWN)])) == 2


def test_a_run_that_never_started_is_not_an_attempt() -> None:
    never = past(RunOutcome.CANCELLED, was_started=False)
    facts = replace(FACTS, runs=[never, past(RunOutcome.FAILED, 2)])
    assert judge(facts).reason == "allowed"
    assert next_attempt(facts) == 3


def test_attempts_of_another_rule_do_not_count() -> None:
    others = [replace(past(RunOutcome.FAILED, number), rule="other") for number in (1, 2, 3)]
    facts = replace(FACTS, runs=others)
    assert judge(facts).reason == "allowed"
    assert next_attempt(facts) == 1


@pytest.mark.parametrize("status", [RunOutcome.HEALED, RunOutcome.UNKNOWN])
def test_a_service_whose_verification_passed_is_not_healed_again_and_needs_attention_if_the_alert_stays(
    status: RunOutcome,
) -> None:
    runs = [past(status, verification_passed=True)]
    soon = judge(replace(FACTS, runs=runs, now=NOW + timedelta(seconds=30)))
    assert (soon.reason, soon.again) == ("under_way", STILL_FIRING_CHECK - timedelta(seconds=30))
    late = judge(replace(FACTS, runs=runs, now=NOW + STILL_FIRING_CHECK))
    assert late.reason == "still_firing"
    assert late.is_final


def test_what_makes_a_run_pointless_comes_before_what_only_delays_it() -> None:
    assert reason(target_is_busy=True, mode="off") == "mode_off"
    assert reason(target_is_busy=True, runs=[past(RunOutcome.FAILED), past(RunOutcome.FAILED, 2)]) == "attempts"


def test_without_a_policy_the_decision_waits_for_one() -> None:
    verdict = judge(replace(FACTS, mode=None, rule=None, service=None))
    assert (verdict.reason, verdict.again, verdict.is_final) == ("no_policy", timedelta(seconds=10), False)


def test_every_guard_is_evaluated_and_the_first_objection_is_the_outcome() -> None:
    facts = replace(FACTS, mode="observe", target_is_busy=True, target_ended_at=NOW, is_flapping=True)
    answers = evaluate(facts)
    assert list(answers) == [guard.name for guard in GUARDS]
    objecting = {name for name, verdict in answers.items() if verdict.answer in (Answer.DENY, Answer.WAIT)}
    assert objecting == {"flapping", "observe", "target_busy", "cooldown"}
    assert conclude(answers, facts).reason == "flapping"


def test_guards_of_a_run_have_nothing_to_judge_without_a_rule() -> None:
    answers = evaluate(replace(FACTS, rule=None, target_is_busy=True))
    assert {name for name, verdict in answers.items() if verdict.answer is Answer.SKIP} == {
        "mode", "recovery", "parameters", "flapping", "attempts", "not_repeatable", "observe", "target_busy",
        "cooldown",
    }  # fmt: skip


def test_the_record_of_the_facts_is_bounded_and_holds_nothing_that_a_sender_wrote() -> None:
    runs = [past(RunOutcome.FAILED, attempt) for attempt in range(1, 2001)]
    facts = replace(FACTS, runs=runs, parameter_fault="x" * 10_000, cover=Cover("w" * 10_000, NOW))
    record = json.dumps(facts.record())
    assert len(record) < 8_000
    assert '"attempt": 2000' in record
    assert RULE.match["alertname"] not in record


def test_healing_specs_carry_all_that_a_run_needs_of_its_rule() -> None:
    spec = healing_spec(RULE, SERVICE.model_copy(update={"url": "http://shop/health"}), {"size": 3})
    assert (spec.kind, spec.playbook, spec.target, spec.lock_keys) == ("heal", RULE.playbook, "shop", ("shop",))
    assert (spec.timeout, spec.parameters, spec.safe_to_repeat) == (RULE.timeout, {"size": 3}, False)
    assert spec.verification == VerificationSpec(url="http://shop/health", green_for=3.0, within=60.0, interval=0.5)
    assert RunSpec.from_stored(spec.stored()) == spec


@pytest.mark.parametrize("outcome", [RunOutcome.CANCELLED, RunOutcome.TIMED_OUT, RunOutcome.FAILED])
def test_a_run_that_ended_between_two_tasks_may_be_repeated(outcome: RunOutcome) -> None:
    assert reason(runs=[past(outcome)]) == "allowed"
