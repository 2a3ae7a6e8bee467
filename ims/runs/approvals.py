"""People say yes or no to a run before it may start.

A run that waits holds no target and has no job, so it stops nothing. An approval is bound to the digest of what exactly
will run and to its revision, is given once, and expires. The target is taken when it is given; if another run holds it
then, the approved run waits, and the sweep queues it as soon as the target is free.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ims.audit.log import record
from ims.core.context import Context
from ims.core.errors import Conflict, NotFound
from ims.core.principal import Role
from ims.core.queue import Job, defer, runs_queue
from ims.core.settings import DEFAULT_POOL
from ims.incidents.models import EventKind
from ims.incidents.transitions import NewEvent, append
from ims.runs.models import Approval, ApprovalState, Run, RunStatus
from ims.runs.queries import run_by_name
from ims.runs.spec import RunSpec
from ims.runs.usecases import NewRun, columns_of, tell

VALID_FOR: Final = timedelta(hours=1)
"""How long people have to answer."""
_EXPIRED: Final = "Nobody approved it in time."


class NotAwaitingApproval(Conflict):
    """Nobody is asked about this run any more: it was approved or rejected before, or the time is over."""


class ApprovedForAnother(Conflict):
    """What would run is not what you looked at: read the run again, then decide."""


def request_approval(
    context: Context,
    spec: RunSpec,
    revision: str,
    *,
    incident_id: UUID | None = None,
    rule: str | None = None,
    valid_for: timedelta = VALID_FOR,
) -> Run:
    """Make a run that waits for a person's yes. Raises `Forbidden`."""
    context.require(Role.RESPONDER)
    session, now = context.session, context.now
    new = NewRun(uuid4(), spec, revision, incident_id=incident_id, rule=rule)
    session.execute(insert(Run).values(columns_of(new, RunStatus.AWAITING_APPROVAL, now)))
    session.add(
        Approval(
            run_id=new.run_id, state=ApprovalState.PENDING, spec_digest=spec.digest, revision=revision,
            requested_at=now, requested_by=context.principal.name, expires_at=now + valid_for,
        )
    )  # fmt: skip
    session.flush()
    run = session.get_one(Run, new.run_id)
    _write_down(context, EventKind.APPROVAL_REQUESTED, run, spec_digest=spec.digest, revision=revision)
    return run


def approve(context: Context, reference: str, *, spec_digest: str | None = None, reason: str = "") -> Run:
    """Say yes to a run: it is queued, or waits for its target if another run holds it.

    With `spec_digest` only if that is still what would run. Raises `Forbidden`, `NotFound`, `NotAwaitingApproval` and
    `ApprovedForAnother`.
    """
    context.require(Role.RESPONDER)
    run = run_by_name(context.session, reference)
    digest = RunSpec.from_stored(run.spec).digest
    if spec_digest is not None and spec_digest != digest:
        raise ApprovedForAnother
    _decide(context, run, ApprovalState.APPROVED, digest, reason)
    _write_down(context, EventKind.RUN_APPROVED, run, spec_digest=digest, revision=run.revision, reason=reason)
    queue_approved(context.session, context.now, only=run.id)
    context.session.refresh(run)
    return run


def reject(context: Context, reference: str, *, reason: str = "") -> Run:
    """Say no to a run: it is cancelled. Raises `Forbidden`, `NotFound` and `NotAwaitingApproval`."""
    context.require(Role.RESPONDER)
    session = context.session
    run = run_by_name(session, reference)
    _decide(context, run, ApprovalState.REJECTED, RunSpec.from_stored(run.spec).digest, reason)
    _write_down(context, EventKind.RUN_REJECTED, run, reason=reason)
    _cancel(session, [run.id], f"{context.principal.name} rejected it.", context.now)
    session.refresh(run)
    return run


def _decide(context: Context, run: Run, state: ApprovalState, digest: str, reason: str) -> None:
    """The guarded update: of all who answer at once, one does; nobody answers late or for another spec."""
    decided = context.session.execute(
        update(Approval)
        .where(
            Approval.run_id == run.id,
            Approval.state == ApprovalState.PENDING,
            Approval.expires_at > context.now,
            Approval.spec_digest == digest,
            Approval.revision == run.revision,
        )
        .values(state=state, decided_at=context.now, decided_by=context.principal.name, reason=reason or None)
        .returning(Approval.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if decided is None:
        raise NotAwaitingApproval


# Of several that want one target the one that was asked about first; only while nothing holds it.
_READY = text(
    """
    SELECT DISTINCT ON (run.target) run.id FROM run
    JOIN approval ON approval.run_id = run.id AND approval.state = 'approved'
    WHERE run.status = 'awaiting_approval' AND (CAST(:only AS uuid) IS NULL OR run.id = :only)
      AND NOT EXISTS (
        SELECT FROM run AS other
        WHERE other.target = run.target AND other.outcome IN ('queued', 'running', 'verifying'))
    ORDER BY run.target, run.number
    """
)


def queue_approved(session: Session, now: datetime, *, only: UUID | None = None) -> int:
    """Queue approved runs whose targets are free, each with its job; how many."""
    return sum(_take_target(session, run_id, now) for run_id in session.scalars(_READY, {"only": only}).all())


def _take_target(session: Session, run_id: UUID, now: datetime) -> bool:
    """Whether the run got its target. Another one may be faster: the index says so, and the run goes on waiting."""
    try:
        with session.begin_nested():
            queued = session.execute(
                update(Run)
                .where(Run.id == run_id, Run.status == RunStatus.AWAITING_APPROVAL)
                .values(status=RunStatus.QUEUED, queued_at=now)
                .returning(Run.spec)
                .execution_options(synchronize_session=False)
            ).one_or_none()
    except IntegrityError:
        return False
    if queued is None:
        return False
    defer(session, Job.EXECUTE_RUN, queue=runs_queue(queued.spec.get("pool", DEFAULT_POOL)), run_id=str(run_id))
    return True


def expire_approvals(session: Session, now: datetime) -> int:
    """Cancel runs that nobody answered about in time; how many."""
    expired = session.scalars(
        update(Approval)
        .where(Approval.state == ApprovalState.PENDING, Approval.expires_at <= now)
        .values(state=ApprovalState.EXPIRED, decided_at=now)
        .returning(Approval.run_id)
        .execution_options(synchronize_session=False)
    ).all()
    for run in _cancel(session, expired, _EXPIRED, now):
        tell(session, run, EventKind.RUN_FINISHED, now, outcome=RunStatus.CANCELLED, reason=_EXPIRED)
    return len(expired)


def approval_of(session: Session, run: Run) -> Approval:
    """What people said about a run. Raises `NotFound` if nobody was asked."""
    found = session.scalars(select(Approval).where(Approval.run_id == run.id)).one_or_none()
    if found is None:
        raise NotFound(f"Nobody was asked about R-{run.number}.")
    return found


def _cancel(session: Session, run_ids: Sequence[UUID], reason: str, now: datetime) -> Sequence[Run]:
    return session.scalars(
        update(Run)
        .where(Run.id.in_(run_ids), Run.status == RunStatus.AWAITING_APPROVAL)
        .values(status=RunStatus.CANCELLED, finished_at=now, ended_at=now, reason=reason)
        .returning(Run)
        .execution_options(synchronize_session=False, populate_existing=True)
    ).all()


_ACTIONS: Final = {
    EventKind.APPROVAL_REQUESTED: "run.approval_requested",
    EventKind.RUN_APPROVED: "run.approved",
    EventKind.RUN_REJECTED: "run.rejected",
}


def _write_down(context: Context, kind: EventKind, run: Run, **told: str) -> None:
    """Into the audit log, and into the timeline of the run's incident if it belongs to one."""
    after = {name: value for name, value in told.items() if value}
    record(context, _ACTIONS[kind], f"R-{run.number}", after=after)
    if run.incident_id is not None:
        data = {"number": run.number, "playbook": run.playbook, "target": run.target, **after}
        append(context.session, [NewEvent(run.incident_id, kind, context.actor, data)], context.now)
