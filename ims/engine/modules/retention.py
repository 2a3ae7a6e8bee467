"""Engine module: retention, gently, once an hour."""

import asyncio
from typing import Final

from ims.core.clock import utc_now
from ims.core.log import logger
from ims.core.queue import WorkerContext
from ims.retention.metrics import LAST_RUN, REMOVED
from ims.retention.queries import oldest_kept
from ims.retention.removal import Removed, steps

PAUSE_SECONDS: Final = 0.25
"""Between two steps: ingest comes first."""

log = logger(__name__)


async def remove_old(worker: WorkerContext) -> None:
    """Remove what the policy does not keep any longer. Raises `DatabaseAway`; what was removed until then is gone.

    Two workers may be at it when another one begins to lead: each takes what the other has not.
    """
    kept = await worker.transaction(lambda session: oldest_kept(session, utc_now()))

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
