"""The membership of a worker: its heartbeat, its leadership, and its shard.

One heartbeat does all three in one transaction, on a connection and in a thread of the pools that all database work
uses: a worker that can do no database work cannot stay leader.
"""

import asyncio
import os
import socket
import time
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from typing import Final

from prometheus_client import Gauge

from ims.core.errors import DatabaseAway
from ims.core.log import logger
from ims.core.queue import WorkerContext
from ims.core.settings import Settings
from ims.core.sharding import Shard
from ims.engine.identity import is_dead
from ims.engine.module import Reports
from ims.workers.models import WorkerState
from ims.workers.queries import workers_of_queues
from ims.workers.usecases import LEADER_LEASE, Registration, Standing, sign_off, step_down, write_heartbeat

LEADS = Gauge("ims_engine_leader", "1 if this worker is the leader, which runs the modules of scope leader, else 0.")

HEARTBEAT_SECONDS: Final = 2.0
_REPORT_EVERY: Final = 5
"""Every so many heartbeats the reports of modules are written even if no result has changed."""

log = logger(__name__)


class Membership:
    """This worker's membership; `send_heartbeat` brings it up to date."""

    def __init__(self, worker: WorkerContext, reports: Reports) -> None:
        self.state = WorkerState.STARTING
        self._worker = worker
        self._me = registration(worker.settings, worker.worker_id)
        self._reports = reports
        self._standing = Standing((), None)
        self._leads_until = float("-inf")
        self._has_led = False
        """Whether it was leader as of the last heartbeat."""
        self._sending: asyncio.Future[Standing] | None = None
        self._heartbeats = 0
        self._changes_written = -1
        LEADS.set_function(lambda: self.is_leader)

    @property
    def is_leader(self) -> bool:
        """Whether this worker is leader.

        Counted by its own clock from before the heartbeat was sent, so that its leadership ends before the lease does.
        """
        return time.monotonic() < self._leads_until

    @property
    def shard(self) -> Shard:
        """This worker's part of all keys, divided among the workers in state `working`."""
        return Shard(self._me.id, frozenset(peer.id for peer in self._standing.peers if peer.is_working))

    @property
    def workers_of_queues(self) -> dict[str, int]:
        """How many workers take jobs from each queue, as of the last heartbeat."""
        return workers_of_queues(peer.pools for peer in self._standing.peers)

    async def send_heartbeat(self, _worker: WorkerContext) -> None:
        """Write a heartbeat and read the live workers and the leader. Raises `DatabaseAway`."""
        changes = self._reports.changes
        is_due = changes != self._changes_written or self._heartbeats % _REPORT_EVERY == 0
        now = await self._worker.in_thread(self._worker.database.now)
        modules = {name: run.to_json(now) for name, run in sorted(self._reports.last.items())} if is_due else None
        sent = time.monotonic()
        write = partial(write_heartbeat, me=self._me, state=self.state, modules=modules, dead=self._dead_leader())
        # A cancelled heartbeat continues in its thread: `step_down` waits for it, so that it does not come afterwards.
        self._sending = asyncio.ensure_future(self._worker.transaction(write))
        self._standing = await asyncio.shield(self._sending)
        self._heartbeats += 1
        self._changes_written = changes
        self._lead(sent)

    def _dead_leader(self) -> Sequence[str]:
        """The leader if its process on this machine has ended: then its lease need not expire first."""
        leader = self._standing.leader
        return [leader] if leader is not None and leader != self._me.id and is_dead(leader) else []

    def _lead(self, sent: float) -> None:
        leads = self._standing.leader == self._me.id
        self._leads_until = sent + LEADER_LEASE.total_seconds() if leads else float("-inf")
        if leads != self._has_led:
            log.info("became_leader" if leads else "lost_leadership")
        self._has_led = leads

    async def step_down(self) -> None:
        """Write that this worker stops, so that another one becomes leader and takes its shard at once."""
        self.state = WorkerState.STOPPING
        self._leads_until = float("-inf")
        if self._sending is not None and not self._sending.done():
            await asyncio.gather(self._sending, return_exceptions=True)
        try:
            await self._worker.transaction(partial(step_down, me=self._me))
        except DatabaseAway:
            log.info("stopped_without_database")

    async def sign_off(self) -> None:
        """Remove this worker's row: it has ended in order."""
        try:
            await self._worker.transaction(partial(sign_off, worker_id=self._me.id))
        except DatabaseAway:
            log.info("stopped_without_database")


def registration(settings: Settings, worker_id: str) -> Registration:
    """The row of this process in the table of workers."""
    return Registration(
        id=worker_id,
        host=socket.gethostname()[:255],
        pid=os.getpid(),
        pools=settings.pools,
        run_capacity=settings.run_concurrency,
        fast_capacity=settings.fast_concurrency,
        version=version("ims")[:64],
    )
