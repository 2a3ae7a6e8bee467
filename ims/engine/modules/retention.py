"""Engine module: retention, in small steps, once an hour."""

import asyncio
from typing import Final

from ims.core.db.engine import database_now
from ims.core.log import logger
from ims.core.queue import WorkerContext
from ims.retention.metrics import LAST_RUN, REMOVED
from ims.retention.queries import oldest_kept
from ims.retention.removal import Removed, steps

PAUSE_SECONDS: Final = 0.25
"""Pause between two steps, so that ingest is not delayed."""

log = logger(__name__)


async def remove_old(worker: WorkerContext) -> None:
    """Remove everything older than the policy's retention.

    Raises `DatabaseAway`; the steps until then stay committed. Two workers may do this at once while leadership
    changes: each takes only rows that the other has not locked.
    """
    kept = await worker.transaction(lambda session: oldest_kept(session, database_now(session)))

    total: Removed = {}
    walk = steps(worker.database, kept)
    while (removed := await worker.in_thread(next, walk, None)) is not None:
        for kind, count in removed.items():
            REMOVED.labels(kind).inc(count)
            total[kind] = total.get(kind, 0) + count
        await asyncio.sleep(PAUSE_SECONDS)
    LAST_RUN.set_to_current_time()
    if any(total.values()):
        log.info("old_removed", before=kept.since.isoformat(), audit_before=kept.audit_since.isoformat(), **total)
