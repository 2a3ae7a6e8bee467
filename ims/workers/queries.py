"""Reading workers, queue depths, and pools without a worker."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from ims.core.queue import Queue, pool_of, queues_of
from ims.workers.models import EngineLeader, Worker

LEADER: Final = "leader"
"""Key of the one row of `engine_leader`."""
LOST_AFTER: Final = timedelta(seconds=10)
"""A worker without a heartbeat for this long counts as dead: five heartbeats."""


class SeenState(StrEnum):
    """The state of a worker as others see it."""

    STARTING = "starting"
    WORKING = "working"
    STOPPING = "stopping"
    LOST = "lost"
    """It has sent no heartbeat for `LOST_AFTER`."""


@dataclass(frozen=True, slots=True)
class ListedWorker:
    """A worker, its state as others see it, and whether it is the leader."""

    row: Worker
    state: SeenState
    is_leader: bool


@dataclass(frozen=True, slots=True)
class UnservedPool:
    """A pool in which jobs wait and which no worker serves."""

    pool: str
    jobs: int


def list_workers(session: Session) -> list[ListedWorker]:
    """All workers, by id: the live ones, and those that were lost recently."""
    rows = session.execute(
        select(
            Worker,
            (Worker.heartbeat_at < func.clock_timestamp() - LOST_AFTER).label("is_lost"),
            EngineLeader.worker_id.is_not(None).label("is_leader"),
        )
        .outerjoin(EngineLeader, (EngineLeader.worker_id == Worker.id) & (EngineLeader.until > func.clock_timestamp()))
        .order_by(Worker.id)
    )
    return [
        ListedWorker(row.Worker, SeenState.LOST if row.is_lost else SeenState(row.Worker.state), row.is_leader)
        for row in rows
    ]


_DUE = text(
    """
    SELECT queue_name, count(*) AS jobs FROM procrastinate_jobs
    WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now())
    GROUP BY queue_name
    """
)


def queue_depths(session: Session) -> dict[str, int]:
    """How many jobs are due in each queue; jobs that are scheduled for later do not count."""
    return {row.queue_name: row.jobs for row in session.execute(_DUE)}


def workers_of_queues(pools_of_workers: Iterable[Sequence[str]]) -> dict[str, int]:
    """How many workers take jobs from each queue; a queue without workers is left out."""
    found: dict[str, int] = {}
    for pools in pools_of_workers:
        for queue in (Queue.FAST.value, *queues_of(pools)):
            found[queue] = found.get(queue, 0) + 1
    return found


def unserved(depths: Mapping[str, int], workers: Mapping[str, int]) -> list[UnservedPool]:
    """Pools in which jobs wait and which no worker serves, by name."""
    waiting: dict[str, int] = {}
    for queue, jobs in depths.items():
        pool = pool_of(queue)
        if pool is not None and jobs and queue not in workers:
            waiting[pool] = waiting.get(pool, 0) + jobs
    return [UnservedPool(pool, waiting[pool]) for pool in sorted(waiting)]


def unserved_pools(session: Session, workers: Iterable[ListedWorker]) -> list[UnservedPool]:
    """Like `unserved`, from the present queues and these workers."""
    serving = [one.row.pools for one in workers if one.state in (SeenState.STARTING, SeenState.WORKING)]
    return unserved(queue_depths(session), workers_of_queues(serving))
