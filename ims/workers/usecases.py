"""What a worker writes about itself: its heartbeat and its leadership.

All times are by the database's clock, `clock_timestamp()`: workers on many machines need no synchronised clocks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from psycopg.types.json import Jsonb
from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from ims.workers.models import EngineLeader, Worker, WorkerState
from ims.workers.queries import LEADER, LOST_AFTER

LEADER_LEASE: Final = timedelta(seconds=6)
"""How long leadership lasts after the last heartbeat: three heartbeats, so that a slow leader does not lose it."""
FORGOTTEN_AFTER: Final = timedelta(hours=1)
"""How long a worker without a heartbeat is still listed."""


@dataclass(frozen=True, slots=True)
class Registration:
    """The part of a worker's row that changes only with a restart."""

    id: str
    host: str
    pid: int
    pools: tuple[str, ...]
    run_capacity: int
    fast_capacity: int
    version: str


@dataclass(frozen=True, slots=True)
class LivePeer:
    """A worker with a recent heartbeat that is not stopping."""

    id: str
    pools: tuple[str, ...]
    is_working: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """The answer to a heartbeat: the live workers, the sender included, and the leader."""

    peers: tuple[LivePeer, ...]
    leader: str | None


# Of several workers that try to become leader at once only one succeeds: the others wait for the row, then find it
# taken.
_HEARTBEAT = text(
    """
    WITH heartbeat AS (
        INSERT INTO worker (id, host, pid, pools, run_capacity, fast_capacity, version, state, started_at,
                            heartbeat_at, modules)
        VALUES (:id, :host, :pid, :pools, :run_capacity, :fast_capacity, :version, :state, clock_timestamp(),
                clock_timestamp(), coalesce(CAST(:modules AS jsonb), '{}'))
        ON CONFLICT (id) DO UPDATE SET state = excluded.state, heartbeat_at = excluded.heartbeat_at,
            modules = CASE WHEN CAST(:modules AS jsonb) IS NULL THEN worker.modules ELSE excluded.modules END
    )
    INSERT INTO engine_leader AS leader (name, worker_id, until)
    SELECT :leader, :id, clock_timestamp() + CAST(:lease AS interval) WHERE CAST(:state AS text) = 'working'
    ON CONFLICT (name) DO UPDATE SET worker_id = excluded.worker_id, until = excluded.until
    WHERE leader.worker_id = excluded.worker_id OR leader.until < clock_timestamp() OR leader.worker_id = ANY(:dead)
    """
)


def write_heartbeat(
    session: Session,
    me: Registration,
    state: WorkerState,
    *,
    modules: Mapping[str, Any] | None = None,
    dead: Sequence[str] = (),
) -> Standing:
    """Write this worker's heartbeat and, if its state is `working`, try to become or stay leader.

    With `modules` None the stored module reports stay as they are. A leader in `dead` loses its lease at once.
    """
    columns = {name: getattr(me, name) for name in me.__slots__} | {"pools": list(me.pools)}
    written = {"state": state.value, "modules": Jsonb(modules) if modules else None}
    session.execute(_HEARTBEAT, columns | written | {"leader": LEADER, "lease": LEADER_LEASE, "dead": list(dead)})
    return _standing(session)


def _standing(session: Session) -> Standing:
    leader = select(EngineLeader.worker_id).where(
        EngineLeader.name == LEADER, EngineLeader.until > func.clock_timestamp()
    )
    rows = session.execute(
        select(Worker.id, Worker.pools, Worker.state, leader.scalar_subquery().label("leader"))
        .where(Worker.heartbeat_at > func.clock_timestamp() - LOST_AFTER, Worker.state != WorkerState.STOPPING)
        .order_by(Worker.id)
    ).all()
    peers = tuple(LivePeer(row.id, tuple(row.pools), row.state == WorkerState.WORKING) for row in rows)
    return Standing(peers, rows[0].leader if rows else None)


def step_down(session: Session, me: Registration) -> None:
    """Write that this worker stops; if it was leader, another one may become leader at once."""
    write_heartbeat(session, me, WorkerState.STOPPING)
    session.execute(delete(EngineLeader).where(EngineLeader.worker_id == me.id))


def sign_off(session: Session, worker_id: str) -> None:
    """Remove the row of a worker that has ended in order."""
    session.execute(delete(Worker).where(Worker.id == worker_id))


def forget_lost_workers(session: Session) -> int:
    """Remove the rows of workers whose last heartbeat is older than `FORGOTTEN_AFTER`; returns how many."""
    gone = delete(Worker).where(Worker.heartbeat_at < func.clock_timestamp() - FORGOTTEN_AFTER)
    return len(session.scalars(gone.returning(Worker.id)).all())
