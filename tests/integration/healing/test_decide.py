"""Decisions on the real database: made once however often repeated, and one run per target at most."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from ims.core.db.engine import Database
from ims.healing.decide import decide
from ims.healing.guards import GUARDS
from ims.healing.models import Decision
from ims.incidents.models import Incident
from ims.runs.models import Run, RunStatus, VerificationStatus
from ims.runs.spec import RunSpec
from tests.integration.healing.conftest import MakeSite
from tests.support.healing import fire, kinds, now, resolve, runs_of, timeline
from tests.support.workers import wait_until


def decide_now(database: Database, *episodes: int) -> list[str]:
    with database.begin() as session:
        return [decision.verdict.reason for decision in decide(session, list(episodes), now())]


def jobs(session: Session, task: str) -> list[dict[str, object]]:
    query = text("SELECT args, scheduled_at FROM procrastinate_jobs WHERE task_name = :task ORDER BY id")
    return [dict(row._mapping) for row in session.execute(query, {"task": task})]


def end_run(session: Session, run: Run, status: RunStatus, verification: VerificationStatus | None = None) -> None:
    run.status, run.started_at, run.finished_at, run.ended_at = status, now(), now(), now()
    run.verification = verification


def test_an_allowed_run_its_line_and_its_job_are_one_commit(make_site: MakeSite, database: Database) -> None:
    make_site()
    with database.begin() as session:
        episode, incident = fire(session, "shop", decide=False)
    assert decide_now(database, episode) == ["allowed"]
    with database.begin() as session:
        (run,) = runs_of(session, episode)
        assert (run.status, run.target, run.rule, run.attempt) == ("queued", "shop", "restart", 1)
        assert [job["args"] for job in jobs(session, "execute_run")] == [{"run_id": str(run.id)}]
        kind, data = timeline(session, incident)[0]
        assert (kind, data["number"], data["playbook"]) == ("rule_allowed", run.number, "playbooks/heal/restart.yml")


def test_twenty_decisions_at_once_make_one_run(make_site: MakeSite, database: Database) -> None:
    make_site()
    with database.begin() as session:
        episode, incident = fire(session, "shop", decide=False)
    with ThreadPoolExecutor(20) as pool:
        reasons = [reason for found in pool.map(lambda _: decide_now(database, episode), range(20)) for reason in found]
    assert sorted(reasons) == ["allowed"] + ["under_way"] * 19
    with database.begin() as session:
        assert len(runs_of(session, episode)) == 1
        assert len(jobs(session, "execute_run")) == 1
        assert kinds(session, incident) == ["rule_allowed"]


def test_decisions_wait_for_each_other_and_leave_the_line_for_an_incident_s_row_to_the_webhook(
    make_site: MakeSite, database: Database
) -> None:
    make_site()
    with database.begin() as session:
        episode, _ = fire(session, "shop", decide=False)

    def waits() -> list[str]:
        with database.begin() as session:
            return list(session.scalars(text("SELECT wait_event FROM pg_stat_activity WHERE wait_event_type = 'Lock'")))

    with ThreadPoolExecutor(3) as pool:
        with database.begin() as session:
            decide(session, [episode], now())
            others = [pool.submit(decide_now, database, episode) for _ in range(3)]
            assert wait_until(lambda: waits() == ["advisory"] * 3, 20)
        assert [other.result(20) for other in others] == [["under_way"]] * 3


def test_incidents_that_want_the_same_targets_at_once_get_one_run_for_each_target(
    make_site: MakeSite, database: Database
) -> None:
    make_site("mail", "search", "shop")
    with database.begin() as session:
        episodes = [fire(session, name, decide=False)[0] for _ in range(8) for name in ("shop", "mail", "search")]
    batches = [episodes[start::8] if start % 2 else list(reversed(episodes[start::8])) for start in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda batch: decide_now(database, *batch), batches))
    reasons = [reason for batch in found for reason in batch]
    assert (reasons.count("allowed"), reasons.count("target_busy")) == (3, 21)
    with database.begin() as session:
        assert session.scalars(select(Run.target).order_by(Run.target)).all() == ["mail", "search", "shop"]


def test_a_busy_target_is_decided_about_again(make_site: MakeSite, database: Database) -> None:
    make_site()
    with database.begin() as session:
        first, _ = fire(session, "shop", decide=False)
        second, incident = fire(session, "shop", decide=False)
    assert decide_now(database, first, second) == ["allowed", "target_busy"]
    with database.begin() as session:
        (again,) = jobs(session, "decide")
        assert again["args"] == {"episode_ids": [second]}
        assert again["scheduled_at"] is not None
        assert kinds(session, incident) == ["rule_denied"]
        end_run(session, runs_of(session, first)[0], RunStatus.FAILED)
    assert decide_now(database, second) == ["allowed"]


def test_a_repeated_denial_is_counted_and_reported_once(make_site: MakeSite, database: Database) -> None:
    make_site(settings={"healing_mode": "observe"})
    with database.begin() as session:
        episode, incident = fire(session, "shop", decide=False)
    for _ in range(3):
        assert decide_now(database, episode) == ["observe"]
    with database.begin() as session:
        decision = session.scalars(select(Decision)).one()
        assert (decision.rule, decision.reason, decision.outcome, decision.count) == ("restart", "observe", "denied", 3)
        assert kinds(session, incident) == ["rule_denied", "automation_gave_up"]


@pytest.mark.parametrize(
    ("host_vars", "alertname", "expected", "events"),
    [
        ({"service_recovery": "manual"}, "ServiceDown", "manual", ["rule_denied", "automation_gave_up"]),
        ({}, "DiskFull", "no_rule", ["no_rule", "automation_gave_up"]),
    ],
)
def test_what_automation_will_not_do_calls_people_at_once(
    make_site: MakeSite, database: Database, host_vars: dict[str, str], alertname: str, expected: str,
    events: list[str],
) -> None:  # fmt: skip
    make_site(host_vars=host_vars)
    with database.begin() as session:
        episode, incident_id = fire(session, "shop", alertname=alertname, decide=False)
    assert decide_now(database, episode) == [expected]
    with database.begin() as session:
        incident = session.get_one(Incident, incident_id)
        assert incident.attention_at is not None
        assert incident.attention_reason
        assert kinds(session, incident_id) == events
        assert jobs(session, "decide") == []


def test_a_service_that_its_platform_restarts_is_left_to_it_first(make_site: MakeSite, database: Database) -> None:
    make_site(host_vars={"service_recovery": "platform"})
    with database.begin() as session:
        episode, incident_id = fire(session, "shop", decide=False)
    assert decide_now(database, episode) == ["platform_managed"]
    with database.begin() as session:
        assert session.get_one(Incident, incident_id).attention_at is None
        assert len(jobs(session, "decide")) == 1
        later = now() + timedelta(seconds=6)
        assert [decision.verdict.is_final for decision in decide(session, [episode], later)] == [True]
        session.flush()
    with database.begin() as session:
        assert session.get_one(Incident, incident_id).attention_at is not None


def test_after_the_last_attempt_people_are_called(make_site: MakeSite, database: Database) -> None:
    make_site(rule={"attempts": 2})
    with database.begin() as session:
        episode, incident_id = fire(session, "shop", decide=False)
    for attempt in (1, 2):
        assert decide_now(database, episode) == ["allowed"]
        with database.begin() as session:
            run = runs_of(session, episode)[-1]
            assert run.attempt == attempt
            end_run(session, run, RunStatus.SUCCEEDED, VerificationStatus.FAILED)
    assert decide_now(database, episode) == ["attempts"]
    with database.begin() as session:
        assert "2 of 2 attempts" in (session.get_one(Incident, incident_id).attention_reason or "")
        assert kinds(session, incident_id)[-1] == "automation_gave_up"


def test_the_cooldown_of_a_target_delays_the_next_attempt(make_site: MakeSite, database: Database) -> None:
    make_site(rule={"cooldown": 30})
    with database.begin() as session:
        episode, _ = fire(session, "shop", decide=False)
    decide_now(database, episode)
    with database.begin() as session:
        end_run(session, runs_of(session, episode)[0], RunStatus.FAILED)
    assert decide_now(database, episode) == ["cooldown"]
    with database.begin() as session:
        assert len(jobs(session, "decide")) == 1
        later = now() + timedelta(seconds=31)
        assert [decision.verdict.reason for decision in decide(session, [episode], later)] == ["allowed"]


def test_a_closed_episode_is_not_healed(make_site: MakeSite, database: Database) -> None:
    make_site()
    with database.begin() as session:
        episode, incident = fire(session, "shop", decide=False)
        resolve(session, episode)
    assert decide_now(database, episode) == []
    with database.begin() as session:
        assert kinds(session, incident) == []


def test_an_incident_that_a_person_resolved_is_not_worked_on(make_site: MakeSite, database: Database) -> None:
    make_site()
    with database.begin() as session:
        episode, incident_id = fire(session, "shop", decide=False)
        session.execute(update(Incident).where(Incident.id == incident_id).values(status="resolved", resolved_at=now()))
    assert decide_now(database, episode) == []


def test_without_a_policy_the_decision_waits_for_one(make_site: MakeSite, database: Database) -> None:
    with database.begin() as session:
        episode, incident_id = fire(session, "shop", decide=False)
    assert decide_now(database, episode) == ["no_policy"]
    with database.begin() as session:
        assert len(jobs(session, "decide")) == 1
        assert session.get_one(Incident, incident_id).attention_at is None
    make_site()
    assert decide_now(database, episode) == ["allowed"]


def test_an_alert_without_a_rule_needs_no_attention_while_another_of_its_incident_is_healed(
    make_site: MakeSite, database: Database
) -> None:
    make_site()
    with database.begin() as session:
        healed, incident_id = fire(session, "shop", decide=False)
        noise, other = fire(session, "shop", alertname="Slow", decide=False)
        join(session, noise, incident_id, other)
    assert decide_now(database, healed, noise) == ["allowed", "no_rule"]
    with database.begin() as session:
        assert session.get_one(Incident, incident_id).attention_at is None


def join(session: Session, episode: int, incident_id: UUID, old: UUID) -> None:
    """Have an episode belong to another incident, as correlation does."""
    session.flush()
    session.execute(text("UPDATE episode SET incident_id = :new WHERE id = :id"), {"new": incident_id, "id": episode})
    session.execute(update(Incident).where(Incident.id == old).values(status="resolved", resolved_at=now()))


def test_a_storm_of_one_service_makes_one_run_and_one_later_decision(make_site: MakeSite, database: Database) -> None:
    make_site()
    with database.begin() as session:
        episodes = [fire(session, "shop", decide=False)[0] for _ in range(200)]
    decide_now(database, *episodes)
    with database.begin() as session:
        assert session.scalar(select(func.count()).select_from(Run)) == 1
        assert len(jobs(session, "decide")) == 1


def decisions_about(database: Database, episode: int) -> list[Decision]:
    with database.begin() as session:
        return list(session.scalars(select(Decision).filter_by(episode_id=episode).order_by(Decision.id)))


def test_a_decision_keeps_what_was_known_and_what_every_guard_said(make_site: MakeSite, database: Database) -> None:
    make_site(rule={"cooldown": 30})
    with database.begin() as session:
        episode, incident = fire(session, "shop", decide=False)
    decide_now(database, episode)
    with database.begin() as session:
        (run,) = runs_of(session, episode)
        end_run(session, run, RunStatus.FAILED)
    decide_now(database, episode)
    allowed, waiting = decisions_about(database, episode)
    assert (allowed.outcome, allowed.reason, allowed.run_id) == ("allowed", "allowed", run.id)
    assert (allowed.incident_id, allowed.attempt, allowed.revision) == (incident, 1, run.revision)
    assert {said["answer"] for said in allowed.answers} == {"pass"}
    assert (waiting.outcome, waiting.reason, waiting.attempt, waiting.run_id) == ("waiting", "cooldown", 2, None)
    assert [said["guard"] for said in waiting.answers] == [guard.name for guard in GUARDS]
    cooldown = waiting.answers[-1]
    assert (cooldown["answer"], cooldown["message"]) == ("wait", waiting.message)
    assert waiting.until is not None
    assert waiting.until > now()
    assert waiting.facts["runs"][0]["outcome"] == "failed"
    assert "It is down." not in str(waiting.facts), "what a sender wrote may be a secret"


def test_a_storm_of_equal_decisions_stays_one_row_for_each_episode(make_site: MakeSite, database: Database) -> None:
    make_site()
    with database.begin() as session:
        episodes = [fire(session, "shop", decide=False)[0] for _ in range(50)]
    for _ in range(10):
        decide_now(database, *episodes)
    (first,) = decisions_about(database, episodes[0])[1:]
    assert (first.reason, first.count) == ("under_way", 9)
    for episode in episodes[1:]:
        (one,) = decisions_about(database, episode)
        assert (one.reason, one.count) == ("target_busy", 10)
        assert one.first_at < one.last_at


def test_who_lost_the_race_for_a_target_keeps_that_it_was_busy(make_site: MakeSite, database: Database) -> None:
    make_site("mail", "shop")
    with database.begin() as session:
        episodes = [fire(session, "shop", decide=False)[0] for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        reasons = [reason for found in pool.map(lambda one: decide_now(database, one), episodes) for reason in found]
    assert (reasons.count("allowed"), reasons.count("target_busy")) == (1, 7)
    for episode, reason in zip(episodes, reasons, strict=True):
        (decision,) = decisions_about(database, episode)
        said = {said["guard"]: said["answer"] for said in decision.answers}
        assert (decision.reason, decision.run_id is None) == (reason, reason != "allowed")
        assert said["target_busy"] == ("pass" if reason == "allowed" else "wait")


def test_a_decision_without_a_policy_is_kept(make_site: MakeSite, database: Database) -> None:
    with database.begin() as session:
        episode, _ = fire(session, "shop", decide=False)
    decide_now(database, episode)
    (decision,) = decisions_about(database, episode)
    assert (decision.reason, decision.revision, decision.facts["healing_mode"]) == ("no_policy", "", None)


def test_a_running_rule_may_change_and_its_run_stays_as_it_was_decided(make_site: MakeSite, database: Database) -> None:
    make_site(rule={"timeout": 60})
    with database.begin() as session:
        episode, _ = fire(session, "shop", decide=False)
    decide_now(database, episode)
    with database.begin() as session:
        spec = RunSpec.from_stored(runs_of(session, episode)[0].spec)
    assert (spec.timeout, spec.target, spec.verification is not None) == (60, "shop", True)
