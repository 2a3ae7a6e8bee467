"""The lifecycle of a worker: it waits for the database, cleans up after dead workers, works, and stops in order.

Blocking database work runs in threads. Playbooks are children of the main thread, because the kernel signals a run's
process when the *thread* that started it ends. PostgreSQL may be away at the start and at any time later: the worker
waits and continues.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from typing import Final

import procrastinate

from ims.core.db.migrate import check_schema
from ims.core.errors import DatabaseAway
from ims.core.log import logger
from ims.core.queue import WorkerContext
from ims.engine.endpoint import Pulse
from ims.engine.membership import Membership
from ims.engine.module import Reports, run_modules
from ims.engine.modules.catalogue import engine_modules
from ims.engine.pools import Pools, build_app
from ims.runs.supervision.sweep import kill_orphans, remove_orphaned_directories
from ims.runs.supervision.warm import WarmRunners
from ims.workers.models import WorkerState

STOP_SECONDS: Final = 10.0
"""Seconds after which a stopping worker ends even if jobs are still under way."""
DATABASE_WAIT: Final = 1.0
LOOP_CHECK_SECONDS: Final = 0.2
"""Seconds between two updates of `Pulse.loop_progress`."""
_SIGN_OFF_SECONDS: Final = 1.0
"""Seconds for which a stopping worker tries to remove its row; otherwise the others see that its heartbeats end."""

log = logger(__name__)


class Life:
    """One start of a worker; it works until `stop` is set."""

    def __init__(self, context: WorkerContext, stop: asyncio.Event) -> None:
        self.pulse = Pulse()
        self._context = context
        self._stop = stop
        self._reports = Reports()
        self._membership = Membership(context, self._reports)

    async def live(self) -> None:
        """Work until stopped. Raises `SchemaOutdated`."""
        log.info("worker_started", worker_id=self._context.worker_id)
        progress = asyncio.create_task(self._note_progress())
        try:
            if await self._wait_for_database():
                await self._context.in_thread(self._clean_up_after_dead_workers)
                await self._work_until_stopped()
        finally:
            progress.cancel()
        log.info("worker_stopped")

    async def _note_progress(self) -> None:
        while True:
            self.pulse.loop_progress = time.monotonic()
            await asyncio.sleep(LOOP_CHECK_SECONDS)

    async def _wait_for_database(self) -> bool:
        """Wait until the database answers, for as long as it takes; false if the worker is stopped before."""
        is_logged = False
        while not self._stop.is_set():
            try:
                await self._context.in_thread(check_schema, self._context.database)
                await self._membership.send_heartbeat(self._context)
            except DatabaseAway:
                if not is_logged:
                    log.warning("waiting_for_database")
                is_logged = True
                await _wait(self._stop, DATABASE_WAIT)
            else:
                return True
        return False

    def _clean_up_after_dead_workers(self) -> None:
        """Kill the processes of runs whose worker on this machine has ended, and remove their directories."""
        state_dir = self._context.settings.state_dir
        swept = kill_orphans(str(state_dir))
        directories = remove_orphaned_directories(state_dir / "runs")
        if swept.killed or directories:
            log.warning("orphans_removed", killed=list(swept.killed), directories=directories)

    async def _work_until_stopped(self) -> None:
        warm_runners = WarmRunners(self._context.settings.state_dir / "runs", self._context.settings.warm_runners)
        app = build_app(self._context, warm_runners)
        async with _opened(app):
            pools = Pools(app, self._context, self._stop)
            modules = engine_modules(self._membership, pools, warm_runners, self.pulse)
            await self._begin()
            working = [
                asyncio.create_task(pools.keep()),
                asyncio.create_task(run_modules(modules, self._context, self._membership, self._reports)),
            ]
            await self._stop.wait()
            self.pulse.is_stopping = True
            log.info("worker_stopping")
            for task in working:
                task.cancel()
            leaving = asyncio.create_task(self._membership.step_down())
            await asyncio.wait([*working, leaving], timeout=STOP_SECONDS)
            await warm_runners.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SIGN_OFF_SECONDS):
                    await self._membership.sign_off()

    async def _begin(self) -> None:
        """Write that this worker now takes jobs; the first worker to do so becomes leader at once."""
        self._membership.state = WorkerState.WORKING
        with contextlib.suppress(DatabaseAway):
            await self._membership.send_heartbeat(self._context)
            self.pulse.heartbeat_written()


@contextlib.asynccontextmanager
async def _opened(app: procrastinate.App) -> AsyncIterator[None]:
    await app.open_async()
    try:
        yield
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await app.close_async()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def stop_at_signals(stop: asyncio.Event) -> None:
    """Set `stop` at SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
