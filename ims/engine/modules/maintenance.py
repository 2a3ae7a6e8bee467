"""Engine module: follow the maintenance windows.

A decision that waits for a window is made again when the window is planned to end. This module handles windows that
were ended, edited or removed, windows that open while an alert already fires, and decisions that got lost.
"""

from ims.core.db.engine import database_now
from ims.core.log import logger
from ims.core.queue import WorkerContext
from ims.maintenance.metrics import MARKS
from ims.maintenance.usecases import follow_windows

log = logger(__name__)


async def follow_maintenance(context: WorkerContext) -> None:
    """Bring the marks of incidents up to date. Raises `DatabaseAway`."""
    while True:
        followed = await context.transaction(lambda session: follow_windows(session, database_now(session)))
        MARKS.labels("began").inc(followed.began)
        MARKS.labels("ended").inc(followed.ended)
        if followed.began or followed.ended:
            log.info("maintenance_followed", began=followed.began, ended=followed.ended)
        if not followed.is_step:
            return
