"""The changes of a run's state: queued, claimed, finished, verified, lost.

Each change is a guarded update, its timeline event and the job that follows, in the caller's transaction. The worker
that claims a run gets a fencing token. Every later write of that worker carries the token and does nothing once
another claim or the sweep has raised it.

Leases use only the database's clock, with `clock_timestamp()`, so that workers on many machines need no common time. A
holder that measures from *before* it sent its renewal always gives up before the database lets the lease expire.
`now`, the time that people read, is the caller's.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy import ColumnElement, Row, String, case, cast, func, null, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ims.alerts.models import Episode
from ims.core.actors import SYSTEM, Actor, ActorKind
from ims.core.queue import Job, defer, runs_queue
from ims.incidents.models import EventKind
from ims.incidents.transitions import NewEvent, append, mark_healed
from ims.runs.events import RunEvent
from ims.runs.models import (
    RUN_NUMBER,
    Run,
    RunOutcome,
    RunStatus,
    Verification,
    VerificationStatus,
    outcome_of,
)
from ims.runs.recap import Outcome, RunResult
from ims.runs.spec import RunSpec

STILL_FIRING_CHECK = timedelta(minutes=10)
"""When to check again an alert whose service passed its verification: Alertmanager sends the resolve after its
`group_interval`, 5 minutes by default."""

AnyRow = Row[*tuple[Any, ...]]

_BY_OUTCOME = {
    Outcome.SUCCEEDED: RunStatus.SUCCEEDED,
    Outcome.FAILED: RunStatus.FAILED,
    Outcome.TIMED_OUT: RunStatus.TIMED_OUT,
    Outcome.CANCELLED: RunStatus.CANCELLED,
    # How far the playbook came is unknown.
    Outcome.UNKNOWN: RunStatus.UNKNOWN,
    Outcome.DIED: RunStatus.UNKNOWN,
}
_WORKER_LOST = "The worker stopped responding during the run; it is unknown how far the playbook came."
_VERIFICATION_FAILED = "The run declares no verification, or it changed nothing."
_ALERT_OVER = "The alert was resolved before the run started."


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that this worker has claimed: every further write about the run needs `fence`."""

    run_id: UUID
    number: int
    fence: int


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A run that reached an outcome, for the caller's metrics."""

    run_id: UUID
    outcome: RunOutcome
    seconds: float | None
    """From its claim to the end of its playbook; None if it never started."""


def run_actor(number: int) -> Actor:
    """The run as the actor of a timeline event."""
    return Actor(ActorKind.RUN, f"R-{number}")


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to create, and its incident, episode and rule."""

    run_id: UUID
    spec: RunSpec
    revision: str
    incident_id: UUID | None = None
    episode_id: int | None = None
    rule: str | None = None
    attempt: int = 1


def queue_runs(session: Session, wanted: Sequence[NewRun], now: datetime) -> dict[UUID, int]:
    """Queue the runs whose targets are free, each with its job; return the numbers of the queued runs.

    The other runs are not created: another run holds the target, or the same attempt exists already.
    """
    # In the order of targets: two batches with the same targets wait for each other instead of deadlocking.
    ordered = sorted(wanted, key=lambda run: run.spec.target)
    if not ordered:
        return {}
    rows = [columns_of(run, RunStatus.QUEUED, now) for run in ordered]
    statement = insert(Run).values(rows).on_conflict_do_nothing().returning(Run.id, Run.number)
    numbers: dict[UUID, int] = dict(iter(session.execute(statement)))
    for run in ordered:
        if run.run_id in numbers:
            defer(session, Job.EXECUTE_RUN, queue=runs_queue(run.spec.pool), run_id=str(run.run_id))
    return numbers


def columns_of(run: NewRun, status: RunStatus, now: datetime) -> dict[str, Any]:
    """The columns of a new run's row."""
    spec = run.spec
    return {
        "id": run.run_id, "number": RUN_NUMBER.next_value(), "kind": spec.kind.value, "status": status.value,
        "incident_id": run.incident_id, "episode_id": run.episode_id, "rule": run.rule, "attempt": run.attempt,
        "playbook": spec.playbook, "target": spec.target, "revision": run.revision, "spec": spec.stored(), "fence": 0,
        "queued_at": now, "recap": {},
    }  # fmt: skip


def claim_run(session: Session, run_id: UUID, worker_id: str, lease: float, now: datetime) -> Claim | None:
    """Claim a queued run for `lease` seconds; None if it is not queued any more, or if its alert has resolved.

    A run whose episode closed while it was queued is cancelled, so that IMS does not heal a healthy service.
    """
    if _cancel_if_over(session, run_id, now):
        return None
    claimed = session.execute(
        update(Run)
        .where(Run.id == run_id, Run.status == RunStatus.QUEUED)
        .values(
            status=RunStatus.RUNNING,
            fence=Run.fence + 1,
            claimed_by=worker_id,
            lease_until=_lease_end(lease),
            started_at=now,
        )
        .returning(*_EVENT_COLUMNS, Run.fence)
    ).one_or_none()
    if claimed is None:
        return None
    record_event(session, claimed, EventKind.RUN_STARTED, now)
    return Claim(claimed.id, claimed.number, claimed.fence)


def _cancel_if_over(session: Session, run_id: UUID, now: datetime) -> bool:
    over = select(Episode.id).where(Episode.id == Run.episode_id, Episode.closed_at.is_not(None)).exists()
    cancelled = session.execute(
        update(Run)
        .where(Run.id == run_id, Run.status == RunStatus.QUEUED, over)
        .values(status=RunStatus.CANCELLED, finished_at=now, ended_at=now, reason=_ALERT_OVER)
        .returning(*_EVENT_COLUMNS)
    ).one_or_none()
    if cancelled is None:
        return False
    record_event(session, cancelled, EventKind.RUN_FINISHED, now, outcome=RunStatus.CANCELLED, reason=_ALERT_OVER)
    return True


def _lease_end(lease: float) -> Any:
    return func.clock_timestamp() + timedelta(seconds=lease)


def finish_playbook(session: Session, claim: Claim, result: RunResult, now: datetime) -> RunOutcome | None:
    """Write how the playbook ended; None, without a write, if the claim is not valid any more.

    After a success or an unknown end the verification follows, after any other end the next decision.
    """
    status = _BY_OUTCOME[result.outcome]
    failed = result.failed_task
    reason = storable(f"{result.reason} {failed.message}" if failed and failed.message else result.reason)
    finished = session.execute(
        update(Run)
        .where(Run.id == claim.run_id, Run.fence == claim.fence, Run.status == RunStatus.RUNNING)
        .values(
            status=status,
            verification=_verification_after(status),
            lease_until=None,
            finished_at=now,
            ended_at=case((_verification_after(status) == VerificationStatus.PENDING, null()), else_=now),
            rc=result.rc,
            recap={host: asdict(numbers) for host, numbers in result.recap.items()},
            reason=reason,
            cut_short=result.cut_short,
            left_behind=list(map(storable, result.left_behind)),
            failed_task=storable(failed.task) if failed else None,
        )
        .returning(*_EVENT_COLUMNS, Run.failed_task, Run.verification, Run.outcome)
    ).one_or_none()
    if finished is None:
        return None
    outcome = RunOutcome(finished.outcome)
    recorded = outcome.value if status is not RunStatus.SUCCEEDED else "playbook_ended"
    record_event(session, finished, EventKind.RUN_FINISHED, now, outcome=recorded, reason=reason,
                 failed_task=finished.failed_task, seconds=round(result.seconds, 3))  # fmt: skip
    if finished.verification is not None:
        _begin_verification(session, [finished], now)
    if finished.verification != VerificationStatus.PENDING:
        _decide_again(session, finished)
    return outcome


def _verification_after(status: RunStatus) -> ColumnElement[str | None]:
    """The verification after this end: pending if the spec declares one, but never after a check-mode run."""
    if status not in (RunStatus.SUCCEEDED, RunStatus.UNKNOWN):
        return cast(null(), String)
    is_declared = (Run.spec["verification"].astext.is_not(None)) & (Run.spec["mode"].astext != "check")
    return case((is_declared, VerificationStatus.PENDING.value), else_=VerificationStatus.SKIPPED.value)


def _begin_verification(session: Session, runs: Sequence[AnyRow], now: datetime) -> None:
    """Write the verifications of runs whose playbooks ended, each with its job."""
    rows = []
    for run in runs:
        is_pending = run.verification == VerificationStatus.PENDING
        rows.append({
            "run_id": run.id, "status": run.verification, "started_at": now, "ended_at": None if is_pending else now,
            "reason": None if is_pending else _VERIFICATION_FAILED,
        })  # fmt: skip
        if is_pending:
            defer(session, Job.VERIFY_RUN, run_id=str(run.id))
    if rows:
        session.execute(insert(Verification).values(rows))


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of a verification: since when the service is healthy, None if it is not, and the reason for people."""

    healthy_since: datetime | None
    reason: str
    decided_by: str | None = None
    """`probe` or `alert`."""
    probes: int = 0


def finish_verification(session: Session, run_id: UUID, finding: Finding, now: datetime) -> EndedRun | None:
    """Write the outcome of a verification; None if it was written before.

    A run whose end was not observed stays `unknown`, but its incident is marked as healed if the service is healthy.
    """
    # The locking order of all transactions: the run first, then its other rows.
    waiting = session.execute(
        select(*_EVENT_COLUMNS, Run.kind, Run.status, Run.started_at, Run.finished_at)
        .where(Run.id == run_id, Run.verification == VerificationStatus.PENDING)
        .with_for_update()
    ).one_or_none()
    if waiting is None:
        return None
    since = finding.healthy_since
    status = VerificationStatus.PASSED if since else VerificationStatus.FAILED
    end_was_seen = waiting.status == RunStatus.SUCCEEDED
    values: dict[str, Any] = {"verification": status, "ended_at": now}
    if end_was_seen:
        values["reason"] = finding.reason
    session.execute(update(Run).where(Run.id == run_id).values(**values))
    session.execute(
        update(Verification)
        .where(Verification.run_id == run_id)
        .values(
            status=status, ended_at=now, healthy_since=since, decided_by=finding.decided_by, probes=finding.probes,
            reason=finding.reason,
        )
    )  # fmt: skip
    outcome = outcome_of(waiting.kind, RunStatus(waiting.status), status)
    kind = EventKind.VERIFICATION_PASSED if since else EventKind.VERIFICATION_FAILED
    record_event(session, waiting, kind, now, outcome=outcome, reason=finding.reason, end_was_seen=end_was_seen,
                 healthy_since=since.isoformat() if since else None)  # fmt: skip
    if since:
        _mark_healed(session, waiting, since)
    _decide_again(session, waiting, after=STILL_FIRING_CHECK if since else None)
    return _ended(waiting, outcome)


def _mark_healed(session: Session, run: AnyRow, healthy_since: datetime) -> None:
    if run.incident_id is not None:
        mark_healed(session, run.incident_id, healthy_since)


def expired_runs(session: Session) -> list[UUID]:
    """Runs whose lease has expired by the database's clock."""
    query = select(Run.id).where(Run.status == RunStatus.RUNNING, Run.lease_until < func.clock_timestamp())
    return list(session.scalars(query))


def lose_runs(session: Session, run_ids: Sequence[UUID], now: datetime, *, dead: Sequence[str] = ()) -> list[EndedRun]:
    """Take runs away from workers that do not renew their lease or are dead, and verify before the next decision.

    Takes only those of `run_ids` whose lease has expired or that a worker in `dead` has claimed.
    """
    gone = (Run.lease_until < func.clock_timestamp()) | Run.claimed_by.in_(list(dead))
    victims = (
        select(Run.id)
        .where(Run.id.in_(list(run_ids)), Run.status == RunStatus.RUNNING, gone)
        .order_by(Run.id)
        # Runs that another worker's sweep has locked are left to that sweep.
        .with_for_update(skip_locked=True)
    )
    lost = session.execute(
        update(Run)
        .where(Run.id.in_(victims.scalar_subquery()))
        .values(
            status=RunStatus.UNKNOWN,
            verification=_verification_after(RunStatus.UNKNOWN),
            ended_at=case((_verification_after(RunStatus.UNKNOWN) == VerificationStatus.PENDING, null()), else_=now),
            # The former holder cannot write any more.
            fence=Run.fence + 1,
            lease_until=None,
            finished_at=now,
            cut_short=True,
            reason=_WORKER_LOST,
        )
        .returning(*_EVENT_COLUMNS, Run.started_at, Run.finished_at, Run.verification)
        .execution_options(synchronize_session=False)
    ).all()
    append(session, [event for run in lost for event in _events(run, EventKind.RUN_LOST, reason=_WORKER_LOST)], now)
    _begin_verification(session, lost, now)
    for run in lost:
        if run.verification != VerificationStatus.PENDING:
            _decide_again(session, run)
    return [_ended(run, RunOutcome.UNKNOWN) for run in lost]


def store_events(session: Session, claim: Claim, events: Sequence[RunEvent]) -> bool:
    """Store a batch of events; False, without a write, if the claim is not valid any more.

    A batch whose commit is uncertain may be stored again: existing events are kept.
    """
    # The share lock keeps other transactions from raising the fence until this batch is committed.
    held = session.execute(
        select(Run.id)
        .where(Run.id == claim.run_id, Run.fence == claim.fence, Run.status == RunStatus.RUNNING)
        .with_for_update(read=True)
    ).one_or_none()
    if held is None:
        return False
    if events:
        session.execute(_STORE, _columns(claim.run_id, events))
    return True


_STORE = text(
    """
    INSERT INTO run_event (run_id, counter, at, kind, play, task, host, stdout, data)
    SELECT :run_id, * FROM unnest(
        CAST(:counters AS integer[]), CAST(:ats AS timestamptz[]), CAST(:kinds AS text[]), CAST(:plays AS text[]),
        CAST(:tasks AS text[]), CAST(:hosts AS text[]), CAST(:stdouts AS text[]), CAST(:datas AS jsonb[])
    )
    ON CONFLICT DO NOTHING
    """
)


def _columns(run_id: UUID, events: Sequence[RunEvent]) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "counters": [event.counter for event in events],
        "ats": [event.at for event in events],
        "kinds": [event.kind for event in events],
        "plays": [storable(event.play) for event in events],
        "tasks": [storable(event.task) for event in events],
        "hosts": [storable(event.host) for event in events],
        "stdouts": [storable(event.stdout) for event in events],
        "datas": [Jsonb(storable(event.data)) for event in events],
    }


def storable(value: Any) -> Any:
    """The same JSON value without NUL and lone surrogates, which PostgreSQL does not accept in text."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {storable(key): storable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [storable(inner) for inner in value]
    return value


_EVENT_COLUMNS = (Run.id, Run.number, Run.incident_id, Run.episode_id, Run.rule, Run.attempt, Run.playbook, Run.target)
"""The columns that timeline events about a run need."""


def record_event(session: Session, run: AnyRow | Run, kind: EventKind, now: datetime, **more: Any) -> None:
    """Add an event about a run to the timeline of its incident, if it has one."""
    append(session, _events(run, kind, **more), now)


def _events(run: AnyRow | Run, kind: EventKind, **more: Any) -> list[NewEvent]:
    """The event for the timeline of the run's incident; none if the run has no incident."""
    if run.incident_id is None:
        return []
    data = {
        "run_id": str(run.id),
        "number": run.number,
        "rule": run.rule,
        "attempt": run.attempt,
        "playbook": run.playbook,
        "target": run.target,
        **{name: value for name, value in more.items() if value is not None},
    }
    actor = SYSTEM if kind is EventKind.RUN_LOST else run_actor(run.number)
    return [NewEvent(run.incident_id, kind, actor, data)]


def _decide_again(session: Session, run: AnyRow, after: timedelta | None = None) -> None:
    if run.episode_id is not None:
        defer(session, Job.DECIDE, after=after, episode_ids=[run.episode_id])


def _ended(run: AnyRow, outcome: RunOutcome) -> EndedRun:
    started, finished = run.started_at, run.finished_at
    return EndedRun(run.id, outcome, (finished - started).total_seconds() if started and finished else None)
