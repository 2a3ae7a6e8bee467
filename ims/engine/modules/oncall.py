"""Engine module: measure the gaps of the on-call schedules."""

from ims.core.db.engine import database_now
from ims.core.queue import WorkerContext
from ims.oncall.metrics import GAP_SECONDS
from ims.oncall.queries import gap_seconds


async def measure_gaps(context: WorkerContext) -> None:
    """Set the gauge. A schedule that is not in the policy any more is exported no longer. Raises `DatabaseAway`."""
    measured = await context.transaction(lambda session: gap_seconds(session, database_now(session)))
    GAP_SECONDS.clear()
    for schedule, seconds in measured.items():
        GAP_SECONDS.labels(schedule).set(seconds)
