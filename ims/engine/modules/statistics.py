"""Engine module: add changes of incidents to the statistics of their day."""

from ims.core.log import logger
from ims.core.queue import WorkerContext
from ims.reports.rollups import CHANGES_A_STEP, roll_up

log = logger(__name__)


async def roll_up_changes(context: WorkerContext) -> None:
    """Add up all pending changes, in steps. Raises `DatabaseAway`; the steps until then stay committed."""
    total = 0
    while added := await context.transaction(roll_up):
        total += added
        if added < CHANGES_A_STEP:
            break
    if total > CHANGES_A_STEP:
        log.info("incident_changes_rolled_up", changes=total)
