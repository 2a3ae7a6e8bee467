"""Engine modules: recover work that a dead worker or an error left behind. The statements are in `ims.engine.sweep`."""

from ims.core.db.engine import database_now
from ims.core.log import logger
from ims.core.queue import WorkerContext
from ims.engine import future_times, sweep
from ims.runs.metrics import RUNS

log = logger(__name__)


async def take_over_runs(worker: WorkerContext) -> None:
    """Take over runs whose worker is dead. Every worker does this, to kill leftover processes on its own machine."""
    for run in await worker.in_thread(sweep.take_over_runs, worker.database):
        RUNS.labels(run.outcome.value).inc()
        log.warning("run_lost", run_id=str(run.run_id))


async def retry_stalled_jobs(worker: WorkerContext) -> None:
    """Retry the jobs of workers without a heartbeat on other workers."""
    if jobs := await worker.transaction(sweep.retry_stalled_jobs):
        log.warning("stalled_jobs_retried", jobs=jobs)


async def redefer_forgotten_runs(worker: WorkerContext) -> None:
    """Defer a job for runs that wait for one and have none."""
    if runs := await worker.transaction(lambda session: sweep.redefer_forgotten_runs(session, database_now(session))):
        log.warning("forgotten_runs_deferred", runs=runs)


async def decide_about_undecided(worker: WorkerContext) -> None:
    """Decide about open episodes for which no further event would trigger a decision."""
    episodes = await worker.transaction(lambda session: sweep.decide_about_undecided(session, database_now(session)))
    if episodes:
        log.warning("undecided_episodes_found", episodes=episodes)


async def heal_future_times(worker: WorkerContext) -> None:
    """Set times that lie in the future to the present."""
    lease = worker.settings.lease_seconds
    if rows := await worker.transaction(lambda session: future_times.heal_future_times(session, lease)):
        log.warning("future_times_healed", **rows)


async def attend_to_approvals(worker: WorkerContext) -> None:
    """Queue approved runs whose targets are free by now, and expire approvals that were not answered in time."""
    if runs := await worker.transaction(lambda session: sweep.attend_to_approvals(session, database_now(session))):
        log.info("approvals_attended_to", runs=runs)
