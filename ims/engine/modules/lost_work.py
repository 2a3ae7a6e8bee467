"""Engine modules: find what a dead worker, or a fault, has left behind. The statements are in `ims.engine.sweep`."""

from ims.core.clock import utc_now
from ims.core.log import logger
from ims.core.queue import WorkerContext
from ims.engine import sweep
from ims.runs.metrics import RUNS

log = logger(__name__)


async def take_over_runs(worker: WorkerContext) -> None:
    """Take runs whose worker is dead. Of each worker, for it kills what is left of them on its own machine."""
    for run in await worker.in_thread(sweep.take_over_runs, worker.database, utc_now()):
        RUNS.labels(run.outcome.value).inc()
        log.warning("run_lost", run_id=str(run.run_id))


async def retry_stalled_jobs(worker: WorkerContext) -> None:
    """Give the jobs of silent workers to others."""
    if jobs := await worker.transaction(sweep.retry_stalled_jobs):
        log.warning("stalled_jobs_retried", jobs=jobs)


async def redefer_forgotten_runs(worker: WorkerContext) -> None:
    """Give a job to runs that wait for one and have none."""
    if runs := await worker.transaction(lambda session: sweep.redefer_forgotten_runs(session, utc_now())):
        log.warning("forgotten_runs_deferred", runs=runs)


async def decide_about_undecided(worker: WorkerContext) -> None:
    """Decide about open episodes of which nothing more would be heard."""
    if episodes := await worker.transaction(lambda session: sweep.decide_about_undecided(session, utc_now())):
        log.warning("undecided_episodes_found", episodes=episodes)


async def attend_to_approvals(worker: WorkerContext) -> None:
    """Queue approved runs whose targets are free by now, and end approvals that nobody answered."""
    if runs := await worker.transaction(lambda session: sweep.attend_to_approvals(session, utc_now())):
        log.info("approvals_attended_to", runs=runs)
