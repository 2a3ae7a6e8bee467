"""The two job pools of a worker: `runs` for the playbooks of its pools, and `fast` for all other jobs.

Each is a worker of Procrastinate, which is restarted if it ends by itself.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, cast

import procrastinate
from procrastinate.job_context import JobContext
from procrastinate.jobs import Job as QueuedJob
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from procrastinate.worker import Worker

from ims.core.errors import DatabaseAway
from ims.core.log import logger
from ims.core.queue import Queue, WorkerContext, queues_of
from ims.engine import sweep
from ims.engine.connector import PatientConnector
from ims.engine.jobs import alerts as alert_jobs
from ims.engine.jobs import healing as healing_jobs
from ims.engine.jobs import incidents as incident_jobs
from ims.engine.jobs import runs as run_jobs
from ims.runs.supervision.warm import WarmRunners

POLL_SECONDS: Final = 1.0
"""PostgreSQL announces new jobs; polling finds scheduled jobs and those of a dead worker."""
VERIFICATIONS: Final = 256
"""Jobs of the fast pool beyond `fast_concurrency`: a verification only waits between two probes and holds no thread, so
many verifications must not keep decisions waiting."""
_RESTART_AFTER: Final = 1.0
_LONGEST_RETRY = 60
_FORGET_JOB_AFTER = 10.0  # seconds within which Procrastinate writes the end of a job

log = logger(__name__)


class _Again(BaseRetryStrategy):
    """Retries jobs without end: at once after a stop of the worker, else after 1, 2, 4 … 60 seconds."""

    def get_retry_decision(self, *, exception: BaseException, job: QueuedJob) -> RetryDecision:
        if isinstance(exception, asyncio.CancelledError):
            return RetryDecision(retry_in={"seconds": 0})
        return RetryDecision(retry_in={"seconds": min(2 ** min(job.attempts, 10), _LONGEST_RETRY)})


@dataclass(frozen=True, slots=True)
class _Plan:
    """The parameters of a pool, used at each start of it."""

    name: str
    queues: Sequence[str]
    concurrency: int
    stop_grace: float
    """Seconds for jobs to end by themselves when the worker stops; then they are cancelled, runs in order."""


@dataclass(slots=True)
class _Pool:
    """Procrastinate's worker, and the jobs that this process is really executing."""

    worker: Worker
    running: Counter[int] = field(default_factory=Counter)
    """How many executions of each job are under way: a job that is retried at once may overlap with its own end."""
    suspects: set[int] = field(default_factory=set)

    def forget(self, job_id: int) -> None:
        """Forget a job: its end has been written by now."""
        self.running[job_id] -= 1
        if not self.running[job_id]:
            del self.running[job_id]


def build_app(context: WorkerContext, warm_runners: WarmRunners) -> procrastinate.App:
    """The app with the jobs of all domains; each job is retried until it succeeds."""
    app = procrastinate.App(connector=PatientConnector.of(context.settings))
    blueprints = (
        alert_jobs.tasks(context),
        incident_jobs.tasks(context),
        healing_jobs.tasks(context),
        run_jobs.tasks(context, warm_runners),
    )
    for task in (task for blueprint in blueprints for task in blueprint.tasks.values()):
        app.task(name=task.name, queue=task.queue, retry=_Again())(task.func)
    return app


class Pools:
    """The pools of one worker; `keep` runs them until it is cancelled."""

    def __init__(self, app: procrastinate.App, context: WorkerContext, stop: asyncio.Event) -> None:
        self._app = app
        self._context = context
        self._stop = stop
        self._pools: list[_Pool] = []

    async def keep(self) -> None:
        """Execute jobs until cancelled; then end in order."""
        settings = self._context.settings
        plans = (
            _Plan("runs", queues_of(settings.pools), settings.run_concurrency, stop_grace=4.0),
            _Plan("fast", [Queue.FAST.value], settings.fast_concurrency + VERIFICATIONS, stop_grace=2.0),
        )
        async with asyncio.TaskGroup() as group:
            for plan in plans:
                group.create_task(self._keep_pool(plan))

    async def _keep_pool(self, plan: _Plan) -> None:
        # A pool that fails while it is stopped must not come back.
        while not self._stop.is_set():
            pool = _Pool(self._new_worker(plan))
            self._pools.append(pool)
            try:
                await cast(Awaitable[None], pool.worker.run())  # type: ignore[no-untyped-call]
            except Exception:
                log.exception("pool_failed", pool=plan.name)
            finally:
                self._pools.remove(pool)
            await asyncio.sleep(_RESTART_AFTER)

    def _new_worker(self, plan: _Plan) -> Worker:
        return Worker(
            app=self._app,
            queues=list(plan.queues),
            name=plan.name,
            concurrency=plan.concurrency,
            fetch_job_polling_interval=POLL_SECONDS,
            shutdown_graceful_timeout=plan.stop_grace,
            delete_jobs="successful",
            install_signal_handlers=False,
            update_heartbeat_interval=sweep.HEARTBEAT_SECONDS,
            # A worker whose row another worker deleted could fetch no more jobs; the sweep checks heartbeats instead.
            stalled_worker_timeout=3600,
            worker_middleware=[self._around_job],
        )

    async def _around_job(self, call_next: Callable[[], Awaitable[Any]], context: JobContext, worker: Worker) -> Any:
        """Keep track of the jobs under way, and log failures."""
        pool = next((pool for pool in self._pools if pool.worker is worker), None)
        job_id = context.job.id
        if pool is None or job_id is None:
            return await call_next()
        pool.running[job_id] += 1
        try:
            return await call_next()
        except DatabaseAway:
            log.warning("job_waits_for_database", job=context.job.task_name)
            raise
        except Exception:
            log.exception("job_failed", job=context.job.task_name, attempts=context.job.attempts)
            raise
        finally:
            asyncio.get_running_loop().call_later(_FORGET_JOB_AFTER, pool.forget, job_id)

    async def retry_lost_jobs(self, context: WorkerContext) -> None:
        """Retry jobs that were fetched for this process but never reached it, because the database went away."""
        pools = {pool.worker.worker_id: pool for pool in self._pools if pool.worker.worker_id is not None}
        found = await context.transaction(partial(sweep.jobs_of, worker_ids=list(pools)))
        lost: set[int] = set()
        for worker_id, pool in pools.items():
            idle = found.get(worker_id, set()) - pool.running.keys()
            # A job that is idle in two consecutive sweeps is not just on its way.
            lost |= idle & pool.suspects
            pool.suspects = idle
        if lost and (again := await context.transaction(partial(sweep.retry_jobs, jobs=sorted(lost)))):
            log.warning("lost_jobs_retried", jobs=again)
