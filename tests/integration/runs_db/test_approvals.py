"""Runs that wait for a person: answered once, in time, for exactly what was looked at; nothing is held meanwhile."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from ims.audit.models import AuditEntry
from ims.core.actors import Actor, ActorKind
from ims.core.context import Context, Origin
from ims.core.db.engine import Database
from ims.core.errors import Conflict, Forbidden
from ims.core.principal import Principal, Role
from ims.engine.sweep import attend_to_approvals
from ims.runs.approvals import approval_of, approve, queue_approved, reject, request_approval
from ims.runs.models import Approval, Run, RunOutcome, RunStatus
from ims.runs.spec import Kind, RunSpec
from tests.integration.runs_db.conftest import Queued, run_row
from tests.support.healing import kinds, now

SPEC = RunSpec(kind=Kind.OPERATE, playbook="playbooks/operate/stop.yml", target="shop", timeout=60)


def context_of(session: Session, name: str = "bob", role: Role = Role.RESPONDER, **ahead: float) -> Context:
    actor = Actor(ActorKind.PERSON, name)
    return Context(session, Principal(actor, name, role), Origin("192.0.2.7"), now() + timedelta(**ahead))


def awaiting_approval(database: Database, queued: Queued) -> Run:
    """A run that waits, on the target that the queued one holds."""
    with database.begin() as session:
        return request_approval(context_of(session), SPEC, revision_of(session), incident_id=queued.incident)


def revision_of(session: Session) -> str:
    return session.scalars(select(Run.revision).limit(1)).one()


def jobs(database: Database) -> list[str]:
    with database.begin() as session:
        query = text("SELECT args ->> 'run_id' FROM procrastinate_jobs WHERE task_name = 'execute_run'")
        return list(session.scalars(query))


def end(database: Database, run_id: UUID) -> None:
    values = {"status": RunStatus.FAILED, "finished_at": now(), "ended_at": now()}
    with database.begin() as session:
        session.execute(update(Run).where(Run.id == run_id).values(**values))


def test_a_run_that_waits_holds_no_target_and_has_no_job(database: Database, queued: Queued) -> None:
    run = awaiting_approval(database, queued)
    assert (run.status, run.outcome, run.ended_at) == ("awaiting_approval", RunOutcome.AWAITING_APPROVAL, None)
    assert jobs(database) == []
    with database.begin() as session:
        assert attend_to_approvals(session, now()) == 0
        assert kinds(session, queued.incident)[-1] == "approval_requested"


def test_an_approved_run_waits_for_a_busy_target_and_is_queued_when_it_is_free(
    database: Database, queued: Queued
) -> None:
    run = awaiting_approval(database, queued)
    with database.begin() as session:
        assert approve(context_of(session, "alice"), f"R-{run.number}", reason="Go.").status == "awaiting_approval"
    with database.begin() as session:
        assert attend_to_approvals(session, now()) == 0
    end(database, queued.run_id)
    with database.begin() as session:
        assert attend_to_approvals(session, now()) == 1
    assert run_row(database, run.id).status == "queued"
    assert jobs(database) == [str(run.id)]
    with database.begin() as session:
        approval = approval_of(session, run)
        assert (approval.state, approval.decided_by, approval.reason) == ("approved", "alice", "Go.")
        assert kinds(session, queued.incident)[-1] == "run_approved"
        actions = session.scalars(select(AuditEntry.action).where(AuditEntry.object == f"R-{run.number}")).all()
        assert actions == ["run.approval_requested", "run.approved"]


def test_on_a_free_target_it_is_queued_at_once(database: Database, queued: Queued) -> None:
    run = awaiting_approval(database, queued)
    end(database, queued.run_id)
    with database.begin() as session:
        assert approve(context_of(session), str(run.id), spec_digest=SPEC.digest).status == "queued"
    assert jobs(database) == [str(run.id)]


def test_of_many_who_answer_at_once_one_does(database: Database, queued: Queued) -> None:
    run = awaiting_approval(database, queued)
    end(database, queued.run_id)

    def answer(place: int) -> bool:
        with database.begin() as session:
            try:
                (approve if place % 2 else reject)(context_of(session), f"R-{run.number}")
            except Conflict:
                return False
            return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(answer, range(8))) == 1
    assert run_row(database, run.id).status in ("queued", "cancelled")


def test_two_approved_runs_of_one_target_are_queued_one_after_the_other(database: Database, queued: Queued) -> None:
    runs = [awaiting_approval(database, queued) for _ in range(2)]
    for run in runs:
        with database.begin() as session:
            approve(context_of(session), f"R-{run.number}")
    end(database, queued.run_id)

    def sweep(_: int) -> int:
        with database.begin() as session:
            return queue_approved(session, now())

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(sweep, range(4))) == 1
    assert [run_row(database, run.id).status for run in runs] == ["queued", "awaiting_approval"]


def test_a_rejected_run_is_cancelled_and_says_by_whom(database: Database, queued: Queued) -> None:
    run = awaiting_approval(database, queued)
    with database.begin() as session:
        rejected = reject(context_of(session, "alice"), f"R-{run.number}", reason="Not today.")
        assert (rejected.status, rejected.reason) == ("cancelled", "alice rejected it.")
        assert rejected.ended_at is not None
        assert kinds(session, queued.incident)[-1] == "run_rejected"
    with database.begin() as session, pytest.raises(Conflict):
        approve(context_of(session), f"R-{run.number}")


def test_nobody_approves_after_the_time_is_over(database: Database, queued: Queued) -> None:
    run = awaiting_approval(database, queued)
    with database.begin() as session, pytest.raises(Conflict):
        approve(context_of(session, hours=2), f"R-{run.number}")
    with database.begin() as session:
        assert attend_to_approvals(session, now() + timedelta(hours=2)) == 1
        assert kinds(session, queued.incident)[-1] == "run_finished"
    late = run_row(database, run.id)
    assert (late.status, late.reason) == ("cancelled", "The run was not approved in time.")


def test_what_was_approved_is_what_was_looked_at(database: Database, queued: Queued) -> None:
    run = awaiting_approval(database, queued)
    other = SPEC.model_copy(update={"timeout": 600.0})
    with database.begin() as session, pytest.raises(Conflict):
        approve(context_of(session), f"R-{run.number}", spec_digest=other.digest)
    with database.begin() as session:
        session.execute(update(Run).where(Run.id == run.id).values(spec=other.stored()))
    with database.begin() as session, pytest.raises(Conflict):
        approve(context_of(session), f"R-{run.number}")
    with database.begin() as session:
        assert session.scalars(select(Approval.state)).one() == "pending"


def test_who_only_looks_on_neither_asks_nor_answers(database: Database, queued: Queued) -> None:
    run = awaiting_approval(database, queued)
    with database.begin() as session:
        charlie = context_of(session, "charlie", Role.VIEWER)
        with pytest.raises(Forbidden):
            request_approval(charlie, SPEC, revision_of(session))
        with pytest.raises(Forbidden):
            approve(charlie, f"R-{run.number}")
        with pytest.raises(Forbidden):
            reject(charlie, f"R-{run.number}")
