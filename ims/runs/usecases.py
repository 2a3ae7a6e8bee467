"""What changes a run: claimed, finished, verified, lost.

Each step is a guarded update, its timeline event and the job that follows, in the caller's transaction. Whoever claims
a run gets a fencing token; every later write of the playbook's side carries it and does nothing once it moved on.

Leases are reckoned by the database's clock alone, with `clock_timestamp()`: workers on many machines then need no
common time, and a holder that measures from *before* it sent its renewal always gives up before the database does.
`now`, the time that people read, is the caller's.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy import Row, func, select, text, update
from sqlalchemy.orm import Session

from ims.alerts.models import Episode
from ims.core.actors import SYSTEM, Actor, ActorKind
from ims.core.queue import Job, defer
from ims.incidents.models import EventKind
from ims.incidents.transitions import NewEvent, append, mark_healed
from ims.runs.events import RunEvent
from ims.runs.models import Run, RunStatus
from ims.runs.recap import Outcome, RunResult

STILL_FIRING_CHECK = timedelta(minutes=10)
"""When to look again at an alert whose service was verified well: Alertmanager tells a resolve after its
`group_interval`, 5 minutes by default."""

AnyRow = Row[*tuple[Any, ...]]

_BY_OUTCOME = {
    Outcome.SUCCEEDED: RunStatus.VERIFYING,
    Outcome.FAILED: RunStatus.FAILED,
    Outcome.TIMED_OUT: RunStatus.TIMED_OUT,
    Outcome.CANCELLED: RunStatus.CANCELLED,
    # Killed from outside: nobody knows how far it came.
    Outcome.DIED: RunStatus.UNKNOWN,
}
_MUTE_WORKER = "The worker stopped answering in the middle of the run; nobody knows how far the playbook came."
_ALERT_OVER = "The alert was resolved before the run started."


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that is ours: only with `fence` may anything more be written about it."""

    run_id: UUID
    number: int
    fence: int


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A run that reached an outcome, for the caller's figures."""

    run_id: UUID
    status: RunStatus
    seconds: float | None
    """From its claim to the end of its playbook; None if it never started."""


def run_actor(number: int) -> Actor:
    """The run as the actor of a timeline event."""
    return Actor(ActorKind.RUN, f"R-{number}")


def claim_run(session: Session, run_id: UUID, worker_id: str, lease: float, now: datetime) -> Claim | None:
    """Take a queued run for `lease` seconds; None if it is not queued any more, or if its alert is over.

    A run whose episode was closed while it waited is cancelled: nothing is repaired that is well.
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
        .returning(*_TOLD, Run.fence)
    ).one_or_none()
    if claimed is None:
        return None
    _tell(session, claimed, EventKind.RUN_STARTED, now)
    return Claim(claimed.id, claimed.number, claimed.fence)


def _cancel_if_over(session: Session, run_id: UUID, now: datetime) -> bool:
    over = select(Episode.id).where(Episode.id == Run.episode_id, Episode.closed_at.is_not(None)).exists()
    cancelled = session.execute(
        update(Run)
        .where(Run.id == run_id, Run.status == RunStatus.QUEUED, over)
        .values(status=RunStatus.CANCELLED, finished_at=now, verified_at=now, reason=_ALERT_OVER)
        .returning(*_TOLD)
    ).one_or_none()
    if cancelled is None:
        return False
    _tell(session, cancelled, EventKind.RUN_FINISHED, now, outcome=RunStatus.CANCELLED, reason=_ALERT_OVER)
    return True


def _lease_end(lease: float) -> Any:
    return func.clock_timestamp() + timedelta(seconds=lease)


def finish_playbook(session: Session, claim: Claim, result: RunResult, now: datetime) -> RunStatus | None:
    """Write how the playbook ended; None, and nothing is written, if the run is not ours any more.

    After a success the verification follows, after an end that nobody saw it comes first, else the next decision.
    """
    status = _BY_OUTCOME[result.outcome]
    failed = result.failed_task
    reason = storable(f"{result.reason} {failed.message}" if failed and failed.message else result.reason)
    finished = session.execute(
        update(Run)
        .where(Run.id == claim.run_id, Run.fence == claim.fence, Run.status == RunStatus.RUNNING)
        .values(
            status=status,
            lease_until=None,
            finished_at=now,
            verified_at=None if status in (RunStatus.VERIFYING, RunStatus.UNKNOWN) else now,
            rc=result.rc,
            recap={host: asdict(numbers) for host, numbers in result.recap.items()},
            reason=reason,
            failed_task=storable(failed.task) if failed else None,
        )
        .returning(*_TOLD, Run.failed_task)
    ).one_or_none()
    if finished is None:
        return None
    outcome = "playbook_ended" if status is RunStatus.VERIFYING else status.value
    _tell(session, finished, EventKind.RUN_FINISHED, now, outcome=outcome, reason=reason,
          failed_task=finished.failed_task, seconds=round(result.seconds, 3))  # fmt: skip
    if status in (RunStatus.VERIFYING, RunStatus.UNKNOWN):
        defer(session, Job.VERIFY_RUN, run_id=str(claim.run_id))
    else:
        _decide_again(session, finished)
    return status


def finish_verification(
    session: Session, run_id: UUID, *, well_since: datetime | None, reason: str, now: datetime
) -> EndedRun | None:
    """Write the outcome of a verification; None if it was written before.

    `well_since` is the first green probe or the alert's resolve, None when neither came in time. A run whose end nobody
    saw stays `unknown`, but its incident is marked as healed when the service is well.
    """
    is_waiting = (Run.status == RunStatus.VERIFYING) | ((Run.status == RunStatus.UNKNOWN) & Run.verified_at.is_(None))
    waiting = session.execute(
        select(*_TOLD, Run.status, Run.started_at, Run.finished_at)
        .where(Run.id == run_id, is_waiting)
        .with_for_update()
    ).one_or_none()
    if waiting is None:
        return None
    end_was_seen = waiting.status == RunStatus.VERIFYING
    status = RunStatus.UNKNOWN
    if end_was_seen:
        status = RunStatus.HEALED if well_since else RunStatus.INEFFECTIVE
    values: dict[str, Any] = {"status": status, "verified_at": now, "first_green_at": well_since}
    if end_was_seen:
        values["reason"] = reason
    session.execute(update(Run).where(Run.id == run_id).values(**values))
    kind = EventKind.VERIFIED_WELL if well_since else EventKind.NOT_VERIFIED
    _tell(session, waiting, kind, now, outcome=status, reason=reason, end_was_seen=end_was_seen,
          well_since=well_since.isoformat() if well_since else None)  # fmt: skip
    if well_since:
        _mark_healed(session, waiting, well_since)
    _decide_again(session, waiting, after=STILL_FIRING_CHECK if well_since else None)
    return _ended(waiting, status)


def _mark_healed(session: Session, run: AnyRow, well_since: datetime) -> None:
    if run.incident_id is not None:
        mark_healed(session, run.incident_id, well_since)


def expired_runs(session: Session) -> list[UUID]:
    """Runs whose lease ran out by the database's clock."""
    query = select(Run.id).where(Run.status == RunStatus.RUNNING, Run.lease_until < func.clock_timestamp())
    return list(session.scalars(query))


def lose_runs(session: Session, run_ids: Sequence[UUID], now: datetime, *, dead: Sequence[str] = ()) -> list[EndedRun]:
    """Take runs from workers that are silent or known to be dead; their service is probed first, then decided about.

    Of `run_ids` only those are taken whose lease has run out, or which a worker of `dead` has claimed.
    """
    gone = (Run.lease_until < func.clock_timestamp()) | Run.claimed_by.in_(list(dead))
    victims = (
        select(Run.id)
        .where(Run.id.in_(list(run_ids)), Run.status == RunStatus.RUNNING, gone)
        .order_by(Run.id)
        # Another worker's sweep that is faster has them.
        .with_for_update(skip_locked=True)
    )
    lost = session.execute(
        update(Run)
        .where(Run.id.in_(victims.scalar_subquery()))
        .values(
            status=RunStatus.UNKNOWN,
            # The former holder writes nothing any more.
            fence=Run.fence + 1,
            lease_until=None,
            finished_at=now,
            reason=_MUTE_WORKER,
        )
        .returning(*_TOLD, Run.started_at, Run.finished_at)
        .execution_options(synchronize_session=False)
    ).all()
    append(session, [event for run in lost for event in _events(run, EventKind.RUN_LOST, reason=_MUTE_WORKER)], now)
    for run in lost:
        defer(session, Job.VERIFY_RUN, run_id=str(run.id))
    return [_ended(run, RunStatus.UNKNOWN) for run in lost]


def store_events(session: Session, claim: Claim, events: Sequence[RunEvent]) -> bool:
    """Store a batch of events; False, and nothing is stored, if the run is not ours any more.

    A batch whose commit was in doubt may be stored again: what is there stays.
    """
    # The share lock holds off whoever would move the fence until this batch is committed.
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
    """The same JSON value without what PostgreSQL refuses in text: NUL and lone surrogates."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {storable(key): storable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [storable(inner) for inner in value]
    return value


_TOLD = (Run.id, Run.number, Run.incident_id, Run.episode_id, Run.rule, Run.attempt, Run.playbook, Run.target)
"""What the timeline tells about a run."""


def _tell(session: Session, run: AnyRow, kind: EventKind, now: datetime, **more: Any) -> None:
    append(session, _events(run, kind, **more), now)


def _events(run: AnyRow, kind: EventKind, **more: Any) -> list[NewEvent]:
    """The event of a run's incident; a run that belongs to none has no timeline."""
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


def _ended(run: AnyRow, status: RunStatus) -> EndedRun:
    started, finished = run.started_at, run.finished_at
    return EndedRun(run.id, status, (finished - started).total_seconds() if started and finished else None)
