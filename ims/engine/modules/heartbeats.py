"""Engine module: detect missed heartbeats."""

from ims.alerts.metrics import count_incidents
from ims.core.clock import utc_now
from ims.core.log import logger
from ims.core.queue import WorkerContext
from ims.heartbeats.usecases import check_heartbeats

log = logger(__name__)


async def watch_heartbeats(context: WorkerContext) -> None:
    """Fire and resolve the alerts of missed and returned heartbeats. Raises `DatabaseAway`."""
    since = context.watching_since
    checked = await context.transaction(lambda session: check_heartbeats(session, since, utc_now()))
    if checked.outcome:
        count_incidents(checked.outcome)
    for name in checked.missed:
        log.warning("heartbeat_missed", heartbeat=name)
    for name in checked.returned:
        log.info("heartbeat_returned", heartbeat=name)
