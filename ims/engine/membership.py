"""A worker among the others: it tells the database that it lives, may lead, and knows its shard.

One heartbeat does all three in one transaction, on a connection of the pool and in a thread of the pool: a worker that
can do no database work cannot go on leading.
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
from ims.workers.usecases import LEADER_LEASE, Registration, Standing, beat, sign_off, step_down

LEADS = Gauge("ims_engine_leader", "1 if this worker runs the engine modules of which there is one, else 0.")

HEARTBEAT_SECONDS: Final = 2.0
_REPORT_EVERY: Final = 5
"""Heartbeats after which the reports of modules are written though no result has changed."""

log = logger(__name__)


class Membership:
    """Where this worker stands; `beat` brings it up to date."""

    def __init__(self, worker: WorkerContext, reports: Reports) -> None:
        self.state = WorkerState.STARTING
        self._worker = worker
        self._me = registration(worker.settings, worker.worker_id)
        self._reports = reports
        self._standing = Standing((), None)
        self._leads_until = float("-inf")
        self._has_led = False
        """Whether it led as of the last heartbeat."""
        self._sending: asyncio.Future[Standing] | None = None
        self._beats = 0
        self._news_written = -1
        LEADS.set_function(lambda: self.is_leader)

    @property
    def is_leader(self) -> bool:
        """Whether this worker leads. By its own clock, from before the heartbeat was sent: it ends before the lease."""
        return time.monotonic() < self._leads_until

    @property
    def shard(self) -> Shard:
        """This worker's part of all keys, among those that work."""
        return Shard(self._me.id, frozenset(peer.id for peer in self._standing.peers if peer.is_working))

    @property
    def workers_of_queues(self) -> dict[str, int]:
        """How many workers take jobs from each queue, as of the last heartbeat."""
        return workers_of_queues(peer.pools for peer in self._standing.peers)

    async def beat(self, _worker: WorkerContext) -> None:
        """Tell that this worker lives, and see who else does. Raises `DatabaseAway`."""
        news = self._reports.news
        is_due = news != self._news_written or self._beats % _REPORT_EVERY == 0
        modules = {name: run.to_json() for name, run in sorted(self._reports.last.items())} if is_due else None
        sent = time.monotonic()
        tell = partial(beat, me=self._me, state=self.state, modules=modules, dead=self._dead_leader())
        # A cancelled heartbeat goes on in its thread: whoever steps down waits for it, lest it comes afterwards.
        self._sending = asyncio.ensure_future(self._worker.transaction(tell))
        self._standing = await asyncio.shield(self._sending)
        self._beats += 1
        self._news_written = news
        self._lead(sent)

    def _dead_leader(self) -> Sequence[str]:
        """The leader, if it is seen to have ended on this machine: its lease is not waited for."""
        leader = self._standing.leader
        return [leader] if leader is not None and leader != self._me.id and is_dead(leader) else []

    def _lead(self, sent: float) -> None:
        leads = self._standing.leader == self._me.id
        self._leads_until = sent + LEADER_LEASE.total_seconds() if leads else float("-inf")
        if leads != self._has_led:
            log.info("became_leader" if leads else "lost_leadership")
        self._has_led = leads

    async def step_down(self) -> None:
        """Tell that this worker stops, so that another one leads and takes its shard at once."""
        self.state = WorkerState.STOPPING
        self._leads_until = float("-inf")
        if self._sending is not None and not self._sending.done():
            await asyncio.gather(self._sending, return_exceptions=True)
        try:
            await self._worker.transaction(partial(step_down, me=self._me))
        except DatabaseAway:
            log.info("stopped_without_database")

    async def sign_off(self) -> None:
        """Take this worker off the list: it has ended in order."""
        try:
            await self._worker.transaction(partial(sign_off, worker_id=self._me.id))
        except DatabaseAway:
            log.info("stopped_without_database")


def registration(settings: Settings, worker_id: str) -> Registration:
    """This process as the others see it."""
    return Registration(
        id=worker_id,
        host=socket.gethostname()[:255],
        pid=os.getpid(),
        pools=settings.pools,
        run_capacity=settings.run_concurrency,
        fast_capacity=settings.fast_concurrency,
        version=version("ims")[:64],
    )
