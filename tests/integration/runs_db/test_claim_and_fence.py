"""A run's changes on the real database: who may write what, and what follows."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, text

from ims.core.db.engine import Database
from ims.core.queue import Job
from ims.incidents.models import Incident
from ims.runs.events import RunEvent
from ims.runs.models import Run, RunOutcome, RunStatus, VerificationStatus, outcome_of
from ims.runs.models import RunEvent as StoredEvent
from ims.runs.recap import FailedTask, HostRecap, Outcome, RunResult
from ims.runs.usecases import (
    Claim,
    Finding,
    claim_run,
    expired_runs,
    finish_playbook,
    finish_verification,
    lose_runs,
    store_events,
)
from tests.integration.runs_db.conftest import Queued, run_row, verification_row
from tests.support.healing import kinds, now, resolve, timeline

GOOD = RunResult(Outcome.SUCCEEDED, "All tasks on shop succeeded.", rc=0, recap={"shop": HostRecap(ok=2)}, seconds=1.5)
BAD = RunResult(
    Outcome.FAILED, "Task 'Start' failed on shop.", rc=2, recap={"shop": HostRecap(failures=1)},
    failed_task=FailedTask("Start", "shop", "No such \0 file \ud800."),
)  # fmt: skip


DIED = RunResult(Outcome.DIED, "The process of the run was killed from outside.")


def claim(database: Database, run_id: UUID, lease: float = 30, worker: str = "worker-1") -> Claim | None:
    with database.begin() as session:
        return claim_run(session, run_id, worker, lease, now())


def claimed(database: Database, run_id: UUID, lease: float = 30) -> Claim:
    found = claim(database, run_id, lease)
    assert found is not None
    return found


def jobs(database: Database) -> list[str]:
    with database.begin() as session:
        return list(session.scalars(text("SELECT task_name FROM procrastinate_jobs ORDER BY id")))


def event(counter: int, **more: Any) -> RunEvent:
    return RunEvent(counter=counter, at=now(), kind="runner_on_ok", **more)


def stored(database: Database) -> int:
    with database.begin() as session:
        return session.scalar(select(func.count()).select_from(StoredEvent)) or 0


def lose(database: Database, run_id: UUID, *dead: str) -> int:
    with database.begin() as session:
        return len(lose_runs(session, [run_id], now(), dead=dead))


def test_of_many_who_claim_a_run_at_once_one_gets_it(database: Database, queued: Queued) -> None:
    with ThreadPoolExecutor(10) as pool:
        claims = list(pool.map(lambda n: claim(database, queued.run_id, worker=f"worker-{n}"), range(10)))
    assert [found.fence for found in claims if found] == [1]
    with database.begin() as session:
        assert kinds(session, queued.incident) == ["rule_allowed", "run_started"]


def test_a_run_whose_alert_is_over_is_cancelled_instead_of_claimed(database: Database, queued: Queued) -> None:
    with database.begin() as session:
        resolve(session, queued.episode)
    assert claim(database, queued.run_id) is None
    run = run_row(database, queued.run_id)
    assert (run.status, run.started_at) == (RunStatus.CANCELLED, None)
    assert run.reason == "The alert was resolved before the run started."
    with database.begin() as session:
        assert kinds(session, queued.incident) == ["rule_allowed", "run_finished"]


def test_a_good_end_is_verified_next(database: Database, queued: Queued) -> None:
    mine = claimed(database, queued.run_id)
    with database.begin() as session:
        assert finish_playbook(session, mine, GOOD, now()) is RunOutcome.VERIFYING
    run = run_row(database, queued.run_id)
    assert (run.status, run.outcome, run.ended_at) == (RunStatus.SUCCEEDED, RunOutcome.VERIFYING, None)
    assert (run.lease_until, run.recap["shop"]["ok"]) == (None, 2)
    assert verification_row(database, queued.run_id).status == "pending"
    assert jobs(database) == ["verify_run"]


def test_a_bad_end_is_decided_about_next_and_says_why(database: Database, queued: Queued) -> None:
    mine = claimed(database, queued.run_id)
    with database.begin() as session:
        assert finish_playbook(session, mine, BAD, now()) is RunOutcome.FAILED
    run = run_row(database, queued.run_id)
    assert (run.failed_task, run.rc) == ("Start", 2)
    assert run.reason == "Task 'Start' failed on shop. No such \ufffd file ?."
    assert jobs(database) == ["decide"]
    with database.begin() as session:
        kind, data = timeline(session, queued.incident)[-1]
        assert (kind, data["outcome"], data["failed_task"]) == ("run_finished", "failed", "Start")


def test_what_a_run_left_behind_is_still_known_after_its_verification(database: Database, queued: Queued) -> None:
    mine = claimed(database, queued.run_id)
    with database.begin() as session:
        finish_playbook(session, mine, replace(GOOD, left_behind=("sleep", "python3 \0")), now())
    with database.begin() as session:
        finish_verification(session, queued.run_id, Finding(now(), "It is healthy."), now())
    run = run_row(database, queued.run_id)
    assert (run.reason, run.left_behind, run.cut_short) == ("It is healthy.", ["sleep", "python3 \ufffd"], False)


def test_whether_a_run_was_cut_short_is_kept(database: Database, queued: Queued) -> None:
    mine = claimed(database, queued.run_id)
    with database.begin() as session:
        finish_playbook(session, mine, RunResult(Outcome.TIMED_OUT, "At its deadline.", cut_short=True), now())
    assert run_row(database, queued.run_id).cut_short


def test_an_end_that_nobody_saw_is_probed_first(database: Database, queued: Queued) -> None:
    mine = claimed(database, queued.run_id)
    with database.begin() as session:
        assert finish_playbook(session, mine, DIED, now()) is RunOutcome.UNKNOWN
    assert jobs(database) == ["verify_run"]


def test_once_the_fence_moved_on_the_former_holder_writes_nothing(database: Database, queued: Queued) -> None:
    stale = claimed(database, queued.run_id, lease=-1)
    assert lose(database, queued.run_id) == 1
    before = run_row(database, queued.run_id)
    with database.begin() as session:
        kinds_before = kinds(session, queued.incident)
        assert finish_playbook(session, stale, GOOD, now()) is None
        assert not store_events(session, stale, [event(1)])
    with database.begin() as session:
        assert kinds(session, queued.incident) == kinds_before
    after = run_row(database, queued.run_id)
    assert (after.status, after.fence, after.rc) == (RunStatus.UNKNOWN, before.fence, None)
    assert (stored(database), jobs(database)) == (0, ["verify_run"])


def test_a_lease_that_still_holds_is_not_taken(database: Database, queued: Queued) -> None:
    claimed(database, queued.run_id, lease=30)
    assert lose(database, queued.run_id) == 0
    with database.begin() as session:
        assert expired_runs(session) == []


def test_a_run_of_a_dead_worker_is_taken_at_once_however_long_its_lease(database: Database, queued: Queued) -> None:
    claimed(database, queued.run_id, lease=3600)
    assert lose(database, queued.run_id, "worker-2") == 0
    assert lose(database, queued.run_id, "worker-1") == 1


def test_sweeps_at_once_lose_a_run_once(database: Database, queued: Queued) -> None:
    claimed(database, queued.run_id, lease=-1)
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: lose(database, queued.run_id), range(8))) == 1
    with database.begin() as session:
        assert kinds(session, queued.incident).count("run_lost") == 1
    assert jobs(database) == ["verify_run"]


def test_a_batch_of_events_that_is_stored_twice_is_there_once(database: Database, queued: Queued) -> None:
    mine = claimed(database, queued.run_id)
    batch = [event(number, task="T", stdout="out \0 \ud800", data={"bad\0": ["\ud800"]}) for number in range(1, 301)]
    for _ in range(2):
        with database.begin() as session:
            assert store_events(session, mine, batch)
    assert stored(database) == 300


@pytest.mark.parametrize("is_healthy", [True, False])
def test_a_verification_is_written_once(database: Database, queued: Queued, is_healthy: bool) -> None:
    mine = claimed(database, queued.run_id)
    since = now() if is_healthy else None
    with database.begin() as session:
        finish_playbook(session, mine, GOOD, now())

    def write(_: int) -> bool:
        with database.begin() as session:
            ended = finish_verification(session, queued.run_id, Finding(since, "Because.", "probe", 3), now())
        return ended is not None

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(write, range(8))) == 1
    run = run_row(database, queued.run_id)
    assert (run.status, run.reason) == (RunStatus.SUCCEEDED, "Because.")
    assert run.outcome == (RunOutcome.HEALED if is_healthy else RunOutcome.INEFFECTIVE)
    verification = verification_row(database, queued.run_id)
    assert (verification.status, verification.healthy_since) == ("passed" if is_healthy else "failed", since)
    assert (verification.decided_by, verification.probes, verification.ended_at) == ("probe", 3, run.ended_at)
    assert [job for job in jobs(database) if job != Job.INCIDENTS_CHANGED] == ["verify_run", "decide"]
    with database.begin() as session:
        assert session.get_one(Incident, queued.incident).healed_at == since
        expected = "verification_passed" if is_healthy else "verification_failed"
        assert [kind for kind in kinds(session, queued.incident) if kind.startswith("verification_")] == [expected]


def test_a_lost_run_whose_service_is_well_stays_unknown_and_its_incident_is_healed(
    database: Database, queued: Queued
) -> None:
    claimed(database, queued.run_id, lease=-1)
    lose(database, queued.run_id)
    since = now()
    with database.begin() as session:
        ended = finish_verification(session, queued.run_id, Finding(since, "Green.", "probe", 1), now())
        assert ended is not None
    run = run_row(database, queued.run_id)
    assert (run.status, run.outcome) == (RunStatus.UNKNOWN, RunOutcome.UNKNOWN)
    assert verification_row(database, queued.run_id).healthy_since == since
    with database.begin() as session:
        assert session.get_one(Incident, queued.incident).healed_at == since
        kind, data = timeline(session, queued.incident)[-1]
        assert (kind, data["end_was_seen"]) == ("verification_passed", False)
        again = session.scalar(text("SELECT scheduled_at FROM procrastinate_jobs WHERE task_name = 'decide'"))
        assert again > now() + timedelta(minutes=5), "the alert gets time to resolve"


@pytest.mark.parametrize("change", [{"verification": None}, {"mode": "check"}])
@pytest.mark.parametrize(("ending", "expected"), [(GOOD, "succeeded"), (DIED, "unknown")])
def test_a_run_that_declares_no_verification_or_changes_nothing_is_over_at_once(
    database: Database, queued: Queued, change: dict[str, Any], ending: RunResult, expected: str
) -> None:
    with database.begin() as session:
        run = session.get_one(Run, queued.run_id)
        run.spec = {**run.spec, **change}
    mine = claimed(database, queued.run_id)
    with database.begin() as session:
        assert finish_playbook(session, mine, ending, now()) == expected
    run = run_row(database, queued.run_id)
    assert (run.outcome, run.verification) == (expected, "skipped")
    assert run.ended_at is not None
    assert verification_row(database, queued.run_id).status == "skipped"
    assert jobs(database) == ["decide"]


def test_the_database_and_the_code_agree_about_every_outcome(database: Database, queued: Queued) -> None:
    for kind, status, verification in product(("heal", "operate"), RunStatus, (None, *VerificationStatus)):
        with database.begin() as session:
            run = session.get_one(Run, queued.run_id)
            run.kind, run.status, run.verification = kind, status, verification
        assert run_row(database, queued.run_id).outcome == outcome_of(kind, status, verification)
