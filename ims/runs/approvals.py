"""Approvals: people approve or reject a run before it may start.

A run that awaits approval holds no target and has no job, so it blocks nothing. An approval is bound to the digest of
the run's spec and to its revision, is given once, and expires. An approved run takes its target at the approval; if
another run holds the target then, the approved run waits, and the sweep queues it as soon as the target is free.
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
from ims.runs.usecases import NewRun, columns_of, record_event

VALID_FOR: Final = timedelta(hours=1)
"""How long people have to approve or reject a run."""
_EXPIRED: Final = "The run was not approved in time."


class NotAwaitingApproval(Conflict):
    """The run does not await approval any more: it was approved or rejected before, or the approval expired."""


class ApprovedForAnother(Conflict):
    """The spec of the run differs from the one you reviewed: read the run again, then decide."""


def request_approval(
    context: Context,
    spec: RunSpec,
    revision: str,
    *,
    incident_id: UUID | None = None,
    rule: str | None = None,
    valid_for: timedelta = VALID_FOR,
) -> Run:
    """Create a run that awaits approval. Raises `Forbidden`."""
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
    _record(context, EventKind.APPROVAL_REQUESTED, run, spec_digest=spec.digest, revision=revision)
    return run


def approve(context: Context, reference: str, *, spec_digest: str | None = None, reason: str = "") -> Run:
    """Approve a run: it is queued, or waits for its target if another run holds it.

    `spec_digest` is the digest of the spec that the person reviewed. Raises `Forbidden`, `NotFound`,
    `NotAwaitingApproval`, and `ApprovedForAnother` if the run's spec has another digest.
    """
    context.require(Role.RESPONDER)
    run = run_by_name(context.session, reference)
    digest = RunSpec.from_stored(run.spec).digest
    if spec_digest is not None and spec_digest != digest:
        raise ApprovedForAnother
    _decide(context, run, ApprovalState.APPROVED, digest, reason)
    _record(context, EventKind.RUN_APPROVED, run, spec_digest=digest, revision=run.revision, reason=reason)
    queue_approved(context.session, context.now, only=run.id)
    context.session.refresh(run)
    return run


def reject(context: Context, reference: str, *, reason: str = "") -> Run:
    """Reject a run: it is cancelled. Raises `Forbidden`, `NotFound` and `NotAwaitingApproval`."""
    context.require(Role.RESPONDER)
    session = context.session
    run = run_by_name(session, reference)
    _decide(context, run, ApprovalState.REJECTED, RunSpec.from_stored(run.spec).digest, reason)
    _record(context, EventKind.RUN_REJECTED, run, reason=reason)
    _cancel(session, [run.id], f"{context.principal.name} rejected it.", context.now)
    session.refresh(run)
    return run


def _decide(context: Context, run: Run, state: ApprovalState, digest: str, reason: str) -> None:
    """The guarded update: of concurrent decisions one succeeds; a late one, or one for another spec, fails."""
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


# Of several approved runs for one target, the oldest; only while no other run holds the target.
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
    """Queue approved runs whose targets are free, each with its job; return their number."""
    return sum(_take_target(session, run_id, now) for run_id in session.scalars(_READY, {"only": only}).all())


def _take_target(session: Session, run_id: UUID, now: datetime) -> bool:
    """Whether the run got its target. If another run was faster, the unique index fails and this run keeps waiting."""
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
    """Cancel runs that were neither approved nor rejected in time; return their number."""
    expired = session.scalars(
        update(Approval)
        .where(Approval.state == ApprovalState.PENDING, Approval.expires_at <= now)
        .values(state=ApprovalState.EXPIRED, decided_at=now)
        .returning(Approval.run_id)
        .execution_options(synchronize_session=False)
    ).all()
    for run in _cancel(session, expired, _EXPIRED, now):
        record_event(session, run, EventKind.RUN_FINISHED, now, outcome=RunStatus.CANCELLED, reason=_EXPIRED)
    return len(expired)


def approval_of(session: Session, run: Run) -> Approval:
    """The approval of a run. Raises `NotFound` if the run never needed one."""
    found = session.scalars(select(Approval).where(Approval.run_id == run.id)).one_or_none()
    if found is None:
        raise NotFound(f"R-{run.number} did not need an approval.")
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


def _record(context: Context, kind: EventKind, run: Run, **details: str) -> None:
    """Write to the audit log, and to the timeline of the run's incident if it has one."""
    after = {name: value for name, value in details.items() if value}
    record(context, _ACTIONS[kind], f"R-{run.number}", after=after)
    if run.incident_id is not None:
        data = {"number": run.number, "playbook": run.playbook, "target": run.target, **after}
        append(context.session, [NewEvent(run.incident_id, kind, context.actor, data)], context.now)
