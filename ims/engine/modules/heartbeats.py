"""Engine module: detect missed heartbeats."""

from sqlalchemy.orm import Session

from ims.alerts.metrics import count_incidents
from ims.core.db.engine import database_now
from ims.core.log import logger
from ims.core.queue import WorkerContext
from ims.heartbeats.usecases import Checked, check_heartbeats

log = logger(__name__)


async def watch_heartbeats(context: WorkerContext) -> None:
    """Fire and resolve the alerts of missed and returned heartbeats. Raises `DatabaseAway`."""

    def check(session: Session) -> Checked:
        now = database_now(session)
        return check_heartbeats(session, context.watching_since(now), now)

    checked = await context.transaction(check)
    if checked.outcome:
        count_incidents(checked.outcome)
    for name in checked.missed:
        log.warning("heartbeat_missed", heartbeat=name)
    for name in checked.returned:
        log.info("heartbeat_returned", heartbeat=name)
