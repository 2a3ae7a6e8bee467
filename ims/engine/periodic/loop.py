"""What a worker does now and then, besides its jobs and its sweep.

Every worker does every chore; a chore takes only what nobody else is at, so any number of workers may do it at once.
One that is not done in time costs nothing but delay: whatever may not be lost is a job.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from ims.core.errors import DatabaseAway
from ims.core.log import logger
from ims.core.queue import WorkerContext
from ims.engine.periodic.heartbeats import watch_heartbeats
from ims.engine.periodic.maintenance import follow
from ims.engine.periodic.retention import remove_old
from ims.engine.periodic.sources import watch_sources
from ims.engine.periodic.statistics import roll_up_changes

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to be done every so many seconds."""

    name: str
    seconds: float
    do: Callable[[WorkerContext], Awaitable[None]]


CHORES: Final = (
    Chore("watch_sources", 5, watch_sources),
    Chore("follow_windows", 5, follow),
    Chore("watch_heartbeats", 5, watch_heartbeats),
    Chore("roll_up_changes", 30, roll_up_changes),
    Chore("remove_old", 3600, remove_old),
)


async def do_chores(context: WorkerContext) -> None:
    """Do all chores, each in its own time, until cancelled. Never raises for what a chore does."""
    async with asyncio.TaskGroup() as group:
        for chore in CHORES:
            group.create_task(_keep_doing(chore, context))


async def _keep_doing(chore: Chore, context: WorkerContext) -> None:
    # Workers that were started together should not all come at once.
    await asyncio.sleep(random.uniform(0, min(chore.seconds, 5)))  # noqa: S311 - nothing secret
    while True:
        try:
            await chore.do(context)
        except DatabaseAway:
            log.warning("chore_waits_for_database", chore=chore.name)
        except Exception:
            log.exception("chore_failed", chore=chore.name)
        await asyncio.sleep(chore.seconds)
