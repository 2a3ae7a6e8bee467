"""The worker: one process, one event loop, two pools of jobs, a sweep, an endpoint.

Blocking database work is done in threads; playbooks are children of the main thread, because the kernel tells a run's
process when the *thread* that started it ends. PostgreSQL may be away at the start and at any time later: the worker
waits and goes on.
"""

import asyncio
import contextlib
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, cast

import procrastinate
from procrastinate.job_context import JobContext
from procrastinate.jobs import Job as QueuedJob
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from procrastinate.worker import Worker
from sqlalchemy.orm import Session

from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.core.db.migrate import check_schema
from ims.core.errors import ConfigurationFaulty, DatabaseAway
from ims.core.log import logger
from ims.core.queue import Queue, WorkerContext
from ims.core.settings import Settings
from ims.engine import sweep
from ims.engine.connector import PatientConnector
from ims.engine.endpoint import LAST_SWEEP, QUEUE_DEPTH, Endpoint, Pulse
from ims.engine.identity import new_worker_id
from ims.engine.jobs import alerts as alert_jobs
from ims.engine.jobs import healing as healing_jobs
from ims.engine.jobs import incidents as incident_jobs
from ims.engine.jobs import runs as run_jobs
from ims.engine.periodic.loop import do_chores
from ims.engine.periodic.warm_runners import keep_spares
from ims.runs.metrics import RUNS
from ims.runs.supervision.sweep import kill_orphans, remove_orphaned_directories
from ims.runs.supervision.warm import Spares

SWEEP_SECONDS: Final = 2.0
POLL_SECONDS: Final = 1.0
"""New jobs announce themselves; jobs for later and those of a dead worker are found by polling."""
STOP_GRACE: Final = {Queue.RUNS: 4.0, Queue.FAST: 2.0}
"""Seconds for jobs to end by themselves when the worker is stopped; then runs are cancelled in order."""
STOP_SECONDS: Final = 10.0
"""Seconds after which a stopping worker ends whatever still happens."""
VERIFICATIONS: Final = 256
"""Jobs of the fast pool beyond `fast_concurrency`: a verification only waits between two probes and holds no thread, so
that many of them must not keep decisions waiting."""
DATABASE_WAIT: Final = 1.0
LOST_TIME: Final = 0.2
"""Seconds between two beats of the event loop."""

_LONGEST_RETRY = 60
_FORGET_JOB_AFTER = 10.0  # seconds in which the end of a job is written

log = logger(__name__)


class _Again(BaseRetryStrategy):
    """No job is ever given up: it is repeated at once after a stop, else after 1, 2, 4 … 60 seconds."""

    def get_retry_decision(self, *, exception: BaseException, job: QueuedJob) -> RetryDecision:
        if isinstance(exception, asyncio.CancelledError):
            return RetryDecision(retry_in={"seconds": 0})
        return RetryDecision(retry_in={"seconds": min(2 ** min(job.attempts, 10), _LONGEST_RETRY)})


@dataclass(slots=True)
class _Pool:
    """One of the two pools: Procrastinate's worker, and the jobs that this process really does."""

    queue: Queue
    worker: Worker
    running: Counter[int] = field(default_factory=Counter)
    """How often each job is being done: one that is repeated at once may overlap with its own end."""
    suspects: set[int] = field(default_factory=set)

    def forget(self, job_id: int) -> None:
        """A job's end is written by now."""
        self.running[job_id] -= 1
        if not self.running[job_id]:
            del self.running[job_id]


def build_app(context: WorkerContext, spares: Spares) -> procrastinate.App:
    """The app with every domain's jobs; each is repeated until it succeeds."""
    app = procrastinate.App(connector=PatientConnector.of(context.settings))
    blueprints = (
        alert_jobs.tasks(context),
        incident_jobs.tasks(context),
        healing_jobs.tasks(context),
        run_jobs.tasks(context, spares),
    )
    for task in (task for blueprint in blueprints for task in blueprint.tasks.values()):
        app.task(name=task.name, queue=task.queue, retry=_Again())(task.func)
    return app


async def run_worker(settings: Settings, stop: asyncio.Event) -> None:
    """Work until `stop` is set.

    Raises `SchemaOutdated` when `ims admin migrate` was not run, and `ConfigurationFaulty` when the port is taken.
    """
    context = WorkerContext(
        settings=settings,
        database=Database.of(settings),
        worker_id=new_worker_id(),
        threads=ThreadPoolExecutor(
            # Never more than there are connections: a thread without one would only wait and then fail.
            max_workers=min(settings.fast_concurrency + settings.run_concurrency, settings.database_pool_size),
            thread_name_prefix="database",
        ),
    )
    program = _Program(context, stop)
    try:
        endpoint = Endpoint(settings.worker_metrics_host, settings.worker_metrics_port, program.pulse)
    except OSError as error:
        address = f"{settings.worker_metrics_host}:{settings.worker_metrics_port}"
        raise ConfigurationFaulty(f"The worker cannot listen on {address}: {error.strerror}.") from error
    endpoint.start()
    try:
        await program.work()
    finally:
        endpoint.stop()
        context.threads.shutdown(wait=False, cancel_futures=True)
        context.database.dispose()


class _Program:
    def __init__(self, context: WorkerContext, stop: asyncio.Event) -> None:
        self.pulse = Pulse()
        self._context = context
        self._stop = stop
        self._pools: list[_Pool] = []
        self._tidied = float("-inf")

    async def work(self) -> None:
        log.info("worker_started", worker_id=self._context.worker_id)
        beating = asyncio.create_task(self._beat())
        try:
            if await self._wait_for_database():
                await self._context.in_thread(self._clean_up_after_the_dead)
                await self._work_until_stopped()
        finally:
            beating.cancel()
        log.info("worker_stopped")

    async def _beat(self) -> None:
        while True:
            self.pulse.beat = time.monotonic()
            await asyncio.sleep(LOST_TIME)

    async def _wait_for_database(self) -> bool:
        """Wait until the database is there, for as long as it takes; false if the worker is stopped before."""
        is_told = False
        while not self._stop.is_set():
            try:
                await self._context.in_thread(check_schema, self._context.database)
            except DatabaseAway:
                if not is_told:
                    log.warning("waiting_for_database")
                is_told = True
                await _wait(self._stop, DATABASE_WAIT)
            else:
                return True
        return False

    def _clean_up_after_the_dead(self) -> None:
        """Kill what is left of runs whose worker on this machine has ended, and remove their directories."""
        state_dir = self._context.settings.state_dir
        swept = kill_orphans(str(state_dir))
        directories = remove_orphaned_directories(state_dir / "runs")
        if swept.killed or directories:
            log.warning("orphans_removed", killed=list(swept.killed), directories=directories)

    async def _work_until_stopped(self) -> None:
        spares = Spares(self._context.settings.state_dir / "runs", self._context.settings.spare_children)
        app = build_app(self._context, spares)
        async with _opened(app):
            pools = [
                asyncio.create_task(self._keep_pool(app, Queue.RUNS, self._context.settings.run_concurrency)),
                asyncio.create_task(
                    self._keep_pool(app, Queue.FAST, self._context.settings.fast_concurrency + VERIFICATIONS)
                ),
            ]
            besides = [
                asyncio.create_task(self._sweep_until_stopped()),
                asyncio.create_task(do_chores(self._context)),
                asyncio.create_task(keep_spares(self._context, spares)),
            ]
            await self._stop.wait()
            self.pulse.is_stopping = True
            log.info("worker_stopping")
            for task in (*pools, *besides):
                task.cancel()
            await asyncio.wait([*pools, *besides], timeout=STOP_SECONDS)
            await spares.close()

    async def _keep_pool(self, app: procrastinate.App, queue: Queue, concurrency: int) -> None:
        """Run one pool, and start it again should it ever end by itself."""
        while not self._stop.is_set():
            pool = _Pool(queue, self._new_worker(app, queue, concurrency))
            self._pools.append(pool)
            try:
                await cast(Awaitable[None], pool.worker.run())  # type: ignore[no-untyped-call]
            except Exception:
                log.exception("pool_failed", queue=queue.value)
            finally:
                self._pools.remove(pool)
            await asyncio.sleep(DATABASE_WAIT)

    def _new_worker(self, app: procrastinate.App, queue: Queue, concurrency: int) -> Worker:
        return Worker(
            app=app,
            queues=[queue.value],
            name=queue.value,
            concurrency=concurrency,
            fetch_job_polling_interval=POLL_SECONDS,
            shutdown_graceful_timeout=STOP_GRACE[queue],
            delete_jobs="successful",
            install_signal_handlers=False,
            update_heartbeat_interval=sweep.HEARTBEAT_SECONDS,
            # Whom another worker deletes here could fetch no job any more; the sweep judges by the heartbeat instead.
            stalled_worker_timeout=3600,
            worker_middleware=[self._around_job],
        )

    async def _around_job(self, call_next: Callable[[], Awaitable[Any]], context: JobContext, worker: Worker) -> Any:
        """Remember what this process is doing, and say what failed."""
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

    async def _sweep_until_stopped(self) -> None:
        rounds, is_away = 0, False
        while True:
            try:
                await self._sweep(rounds)
                self.pulse.swept = time.monotonic()
                LAST_SWEEP.set_to_current_time()
                if is_away:
                    log.info("database_back")
                is_away = False
            except DatabaseAway:
                if not is_away:
                    log.warning("database_away")
                is_away = True
            except Exception:
                log.exception("sweep_failed")
            rounds += 1
            await asyncio.sleep(SWEEP_SECONDS)

    async def _sweep(self, rounds: int) -> None:
        context = self._context
        now = utc_now()
        swept = sweep.Swept()
        swept.lost = await context.in_thread(sweep.take_over_runs, context.database, now)
        for run in swept.lost:
            RUNS.labels(run.outcome.value).inc()
            log.warning("run_lost", run_id=str(run.run_id))
        swept.jobs_again = await context.transaction(sweep.retry_stalled_jobs)
        swept.jobs_again += await self._retry_own_jobs()
        await context.transaction(lambda session: sweep.attend_to_approvals(session, now))
        if rounds % 5 == 0:
            swept.runs_again = await context.transaction(lambda session: sweep.redefer_forgotten_runs(session, now))
        if rounds % 15 == 7:
            swept.episodes_again = await context.transaction(lambda session: sweep.decide_about_undecided(session, now))
        await context.transaction(_read_figures)
        if time.monotonic() - self._tidied > 3600:
            self._tidied = time.monotonic()
            await self._tidy()
        if swept:
            log.warning(
                "swept",
                runs_lost=len(swept.lost),
                jobs_again=swept.jobs_again,
                runs_again=swept.runs_again,
                episodes_again=swept.episodes_again,
            )

    async def _retry_own_jobs(self) -> int:
        """Put back jobs that were fetched for this process but never reached it, because the database went away."""
        again = 0
        for pool in self._pools:
            worker_id = pool.worker.worker_id
            if worker_id is not None:
                found = await self._context.transaction(partial(sweep.jobs_of, worker_id=worker_id))
                # What is seen twice, a sweep apart, is not on its way.
                lost = sorted((found & pool.suspects) - pool.running.keys())
                pool.suspects = found - pool.running.keys()
                again += await self._context.transaction(partial(sweep.retry_jobs, jobs=lost)) if lost else 0
        return again

    async def _tidy(self) -> None:
        await self._context.transaction(sweep.purge_finished_jobs)
        in_use = await self._context.transaction(sweep.revisions_in_use)
        directory = self._context.settings.state_dir / "policy"
        removed = await self._context.in_thread(sweep.remove_unpacked, directory, in_use, utc_now())
        if removed:
            log.info("revisions_removed", digests=removed)


def _read_figures(session: Session) -> None:
    depths = sweep.queue_depths(session)
    for queue in Queue:
        QUEUE_DEPTH.labels(queue.value).set(depths.get(queue.value, 0))


@contextlib.asynccontextmanager
async def _opened(app: procrastinate.App) -> Any:
    await app.open_async()
    try:
        yield app
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await app.close_async()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def main(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run_worker(settings, stop)
