"""Engine module: read the values of this worker's gauges from the database, all in one transaction."""

from collections.abc import Awaitable, Callable
from typing import Final

from prometheus_client import Gauge
from sqlalchemy.orm import Session

from ims.alerts.dead_letters import count_rejected
from ims.alerts.stale_sources import stale_states
from ims.core.db.engine import database_now
from ims.core.log import logger
from ims.core.queue import Queue, WorkerContext
from ims.engine.membership import Membership
from ims.maintenance.metrics import WINDOWS_OPEN
from ims.maintenance.queries import open_windows
from ims.policy.queries import active_policy
from ims.sources.metrics import REJECTED_KEPT, STALE, WITHHELD
from ims.sources.queries import withheld_alerts
from ims.workers.queries import UnservedPool, queue_depths, unserved

QUEUE_DEPTH = Gauge("ims_queue_depth", "Waiting jobs, by queue; read from the database.", ["queue"])
QUEUE_WORKERS = Gauge("ims_queue_workers", "Live workers that take jobs from this queue.", ["queue"])

_MOST_COUNTED: Final = 10_000

log = logger(__name__)


def reading(membership: Membership) -> Callable[[WorkerContext], Awaitable[None]]:
    """The module's run."""
    queues = _Queues(membership)

    async def read_gauges(worker: WorkerContext) -> None:
        depths = await worker.transaction(_read)
        queues.export(depths)

    return read_gauges


def _read(session: Session) -> dict[str, int]:
    STALE.clear()
    for source, is_stale in stale_states(session):
        STALE.labels(source).set(is_stale)
    WITHHELD.clear()
    for source, alerts in withheld_alerts(session):
        WITHHELD.labels(source).set(alerts)
    REJECTED_KEPT.set(count_rejected(session, _MOST_COUNTED))
    active = active_policy(session)
    WINDOWS_OPEN.set(len(open_windows(session, active.policy if active else None, database_now(session))))
    return queue_depths(session)


class _Queues:
    """The gauges of queues; an emptied queue is exported as 0, not left out."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self._known = {queue.value for queue in Queue}
        self._unserved: list[str] = []

    def export(self, depths: dict[str, int]) -> None:
        """Set the gauges. The leader also logs, once each, the pools that have jobs and no worker."""
        workers = self._membership.workers_of_queues
        self._known |= depths.keys() | workers.keys()
        for queue in self._known:
            QUEUE_DEPTH.labels(queue).set(depths.get(queue, 0))
            QUEUE_WORKERS.labels(queue).set(workers.get(queue, 0))
        self._log_unserved(unserved(depths, workers) if self._membership.is_leader else [])

    def _log_unserved(self, waiting: list[UnservedPool]) -> None:
        for one in waiting:
            if one.pool not in self._unserved:
                log.warning("pool_has_no_worker", pool=one.pool, jobs=one.jobs)
        self._unserved = [one.pool for one in waiting]
