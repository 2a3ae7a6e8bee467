"""The worker: one process and one event loop with two job pools, the engine modules, and an HTTP endpoint."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from ims.core.db.engine import Database
from ims.core.errors import ConfigurationFaulty
from ims.core.net import with_port
from ims.core.queue import WorkerContext
from ims.core.settings import Settings
from ims.engine.endpoint import Endpoint
from ims.engine.identity import new_worker_id
from ims.engine.lifecycle import Life, stop_at_signals
from ims.runs.supervision.sockets import check_short_path


async def run_worker(settings: Settings, stop: asyncio.Event) -> None:
    """Work until `stop` is set.

    Raises `SchemaOutdated` when `ims admin migrate` has not run, `ConfigurationFaulty` when the port is taken, and
    `NoShortPath` when the path of the run directories is too long for any run to start.
    """
    check_short_path(settings.state_dir / "runs")
    context = WorkerContext(
        settings=settings,
        database=Database.of(settings),
        worker_id=new_worker_id(),
        threads=ThreadPoolExecutor(
            # Never more threads than connections: a thread without a connection would only wait and then fail.
            max_workers=min(settings.fast_concurrency + settings.run_concurrency, settings.database_pool_size),
            thread_name_prefix="database",
        ),
    )
    life = Life(context, stop)
    try:
        endpoint = Endpoint(settings.worker_metrics_host, settings.worker_metrics_port, life.pulse)
    except OSError as error:
        address = with_port(settings.worker_metrics_host, settings.worker_metrics_port)
        raise ConfigurationFaulty(f"The worker cannot listen on {address}: {error.strerror}.") from error
    endpoint.start()
    try:
        await life.live()
    finally:
        endpoint.stop()
        context.threads.shutdown(wait=False, cancel_futures=True)
        context.database.dispose()


async def main(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    stop_at_signals(stop)
    await run_worker(settings, stop)
