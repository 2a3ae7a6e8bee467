"""Engine modules: remove jobs, unpacked revisions and worker rows that are no longer needed."""

from ims.core.clock import utc_now
from ims.core.log import logger
from ims.core.queue import WorkerContext
from ims.engine import sweep
from ims.workers.usecases import forget_lost_workers

log = logger(__name__)


async def purge_finished_jobs(worker: WorkerContext) -> None:
    """Delete old jobs that failed or were cancelled."""
    await worker.transaction(sweep.purge_finished_jobs)


async def remove_unpacked_revisions(worker: WorkerContext) -> None:
    """Remove unpacked revisions that no run needs from this machine's disk."""
    in_use = await worker.transaction(sweep.revisions_in_use)
    directory = worker.settings.state_dir / "policy"
    if removed := await worker.in_thread(sweep.remove_unpacked, directory, in_use, utc_now()):
        log.info("revisions_removed", digests=removed)


async def forget_workers(worker: WorkerContext) -> None:
    """Remove the rows of workers that have long been dead."""
    if workers := await worker.transaction(forget_lost_workers):
        log.info("lost_workers_forgotten", workers=workers)
