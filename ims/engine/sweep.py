"""The sweep: engine modules look every few seconds for work that dead workers left behind.

Each step is a statement that skips rows locked by other workers, so any number of workers may sweep at once.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from ims.core.db.engine import Database, database_now
from ims.core.queue import Job, defer, runs_queue
from ims.engine.identity import is_dead
from ims.policy.queries import active_digest
from ims.policy.unpacking import remove
from ims.runs.approvals import expire_approvals, queue_approved
from ims.runs.models import ACTIVE, Run, RunStatus
from ims.runs.processes import place
from ims.runs.supervision.sweep import kill_run
from ims.runs.usecases import EndedRun, expired_runs, lose_runs

HEARTBEAT_SECONDS: Final = 2.0
STALLED_SECONDS: Final = 10.0
"""Seconds without a heartbeat before a worker's jobs go to others: five heartbeats, so that a slow worker keeps its
jobs."""
FORGOTTEN_AFTER: Final = timedelta(seconds=10)
"""A run that has waited this long without a job gets one."""
UNDECIDED_AFTER: Final = timedelta(seconds=30)
"""An open episode without any activity for this long gets a new decision."""
REVISION_KEPT: Final = timedelta(hours=1)
FINISHED_JOBS_KEPT: Final = timedelta(days=7)


def take_over_runs(database: Database) -> list[EndedRun]:
    """Take runs from workers whose lease has expired, and at once from workers that died on this machine.

    The processes of such a run on this machine are killed first, because its target is free for the next run as soon
    as this run is marked as lost. Raises `DatabaseAway`.
    """
    with database.begin() as session:
        claimers = session.execute(
            select(Run.id, Run.claimed_by).where(
                Run.status == RunStatus.RUNNING, Run.claimed_by.startswith(f"{place()}/", autoescape=True)
            )
        ).all()
        dead = {row.claimed_by for row in claimers if row.claimed_by and is_dead(row.claimed_by)}
        doomed = {*expired_runs(session), *(row.id for row in claimers if row.claimed_by in dead)}
    if not doomed:
        return []
    for run_id in doomed:
        kill_run(run_id)
    with database.begin() as session:
        return lose_runs(session, sorted(doomed), database_now(session), dead=sorted(dead))


# A database that has just come back has no recent heartbeats: all workers get the time to send one.
_STALLED = text(
    """
    SELECT count(procrastinate_retry_job_v2(stalled.id, now(), NULL, NULL, NULL)) FROM (
        SELECT job.id FROM procrastinate_jobs AS job
        LEFT JOIN procrastinate_workers AS worker ON worker.id = job.worker_id
        WHERE job.status = 'doing'
          AND (worker.id IS NULL OR worker.last_heartbeat < now() - CAST(:patience AS interval))
          AND pg_postmaster_start_time() < now() - CAST(:patience AS interval)
        FOR UPDATE OF job SKIP LOCKED
    ) AS stalled
    """
)


def retry_stalled_jobs(session: Session) -> int:
    """Retry the jobs of workers without a recent heartbeat; returns how many."""
    return int(session.scalar(_STALLED, {"patience": timedelta(seconds=STALLED_SECONDS)}) or 0)


_OWN = text(
    """
    SELECT worker_id, id FROM procrastinate_jobs
    WHERE status = 'doing' AND worker_id = ANY(CAST(:worker_ids AS bigint[]))
    """
)
_RETRY = text(
    """
    SELECT count(procrastinate_retry_job_v2(own.id, now(), NULL, NULL, NULL)) FROM (
        SELECT id FROM procrastinate_jobs WHERE status = 'doing' AND id = ANY(CAST(:jobs AS bigint[]))
        FOR UPDATE SKIP LOCKED
    ) AS own
    """
)


def jobs_of(session: Session, *, worker_ids: Sequence[int]) -> dict[int, set[int]]:
    """Jobs in status `doing` for each of these workers of Procrastinate."""
    found: dict[int, set[int]] = {}
    for row in session.execute(_OWN, {"worker_ids": list(worker_ids)}):
        found.setdefault(row.worker_id, set()).add(row.id)
    return found


def retry_jobs(session: Session, *, jobs: Sequence[int]) -> int:
    """Put jobs back into their queues; returns how many were still `doing`."""
    return int(session.scalar(_RETRY, {"jobs": list(jobs)}) or 0)


_FORGOTTEN = text(
    """
    SELECT run.id, run.status, coalesce(run.spec ->> 'pool', 'default') AS pool FROM run
    WHERE ((run.status = 'queued' AND run.queued_at < :before)
        OR (run.verification = 'pending' AND run.finished_at < :before))
      AND NOT EXISTS (
        SELECT FROM procrastinate_jobs AS job
        WHERE job.status IN ('todo', 'doing')
          AND job.task_name = CASE run.status WHEN 'queued' THEN 'execute_run' ELSE 'verify_run' END
          AND job.args ->> 'run_id' = CAST(run.id AS text))
    ORDER BY run.id
    FOR UPDATE OF run SKIP LOCKED
    """
)


def redefer_forgotten_runs(session: Session, now: datetime) -> int:
    """Defer a job for runs that wait for one and have none; returns how many."""
    forgotten = session.execute(_FORGOTTEN, {"before": now - FORGOTTEN_AFTER}).all()
    for run in forgotten:
        if run.status == RunStatus.QUEUED:
            defer(session, Job.EXECUTE_RUN, queue=runs_queue(run.pool), run_id=str(run.id))
        else:
            defer(session, Job.VERIFY_RUN, run_id=str(run.id))
    return len(forgotten)


def attend_to_approvals(session: Session, now: datetime) -> int:
    """Queue approved runs whose targets are free by now, and cancel runs whose approval expired; returns how many."""
    return expire_approvals(session, now) + queue_approved(session, now)


_UNDECIDED = text(
    """
    SELECT episode.id FROM episode JOIN incident ON incident.id = episode.incident_id
    WHERE episode.closed_at IS NULL AND episode.opened_at < :before
      AND incident.attention_at IS NULL AND incident.status <> 'resolved'
      AND NOT EXISTS (
        SELECT FROM run WHERE run.episode_id = episode.id AND (run.ended_at IS NULL OR run.ended_at > :before))
      AND NOT EXISTS (
        SELECT FROM procrastinate_jobs AS job
        WHERE job.status IN ('todo', 'doing') AND job.task_name = 'decide'
          AND job.args -> 'episode_ids' @> to_jsonb(episode.id))
    ORDER BY episode.id LIMIT 500
    """
)


def decide_about_undecided(session: Session, now: datetime) -> int:
    """Defer a decision about open episodes with no run under way, no pending decision, and no need for attention.

    Every step that ends leaves one of these in its own transaction; this is the safety net for unexpected cases.
    """
    episodes = list(session.scalars(_UNDECIDED, {"before": now - UNDECIDED_AFTER}))
    if episodes:
        defer(session, Job.DECIDE, episode_ids=episodes)
    return len(episodes)


_FINISHED = text(
    """
    DELETE FROM procrastinate_jobs AS job
    WHERE job.status IN ('succeeded', 'failed', 'cancelled', 'aborted')
      AND NOT EXISTS (
        SELECT FROM procrastinate_events AS event
        WHERE event.job_id = job.id AND event.at > now() - CAST(:kept AS interval))
    """
)


def purge_finished_jobs(session: Session) -> None:
    """Delete jobs that failed or were cancelled more than a week ago; successful jobs are deleted at once."""
    session.execute(_FINISHED, {"kept": FINISHED_JOBS_KEPT})


def revisions_in_use(session: Session) -> set[str]:
    """Digests of the active revision and of the revisions of active runs."""
    digests = set(session.scalars(select(Run.revision).where(Run.outcome.in_(ACTIVE)).distinct()))
    active = active_digest(session)
    return digests | ({active} if active else set())


def remove_unpacked(directory: Path, in_use: set[str], now: datetime) -> list[str]:
    """Remove unpacked revisions that are neither in use nor new; returns their names."""
    if not directory.is_dir():
        return []
    oldest = (now - REVISION_KEPT).timestamp()
    unused = [
        path
        for path in directory.iterdir()
        if path.is_dir() and path.name not in in_use and path.stat().st_mtime < oldest
    ]
    for path in unused:
        remove(path)
    return sorted(path.name for path in unused)
