"""Renewing a run's lease, and stopping the run in time if the lease cannot be renewed.

The guarantee to all other workers is: when a lease has expired by the database's clock, no process of the run is left.
So the holder gives up after two thirds of the lease, measured from before it sent the last confirmed renewal; the last
third is for stopping the playbook.

Renewals use their own connection and never wait for a thread or for the pool, because they matter most when the
database is slow.
"""

import asyncio
import contextlib
from types import TracebackType
from typing import Final, Self

import psycopg

from ims.core.db.connection import CONNECT_SECONDS, NETWORK
from ims.core.db.engine import app_url, conninfo
from ims.core.log import logger
from ims.core.settings import Settings
from ims.runs.usecases import Claim

RENEW_AFTER: Final = 1 / 3
"""Share of the lease after which it is renewed."""
GIVE_UP_AFTER: Final = 2 / 3
"""Share of the lease without a confirmed renewal after which the run is stopped."""

_PAUSE = 0.25  # seconds between two tries while the database is away
_RENEW = """
    UPDATE run SET lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
    WHERE id = %(run_id)s AND fence = %(fence)s AND status = 'running'
"""

log = logger(__name__)


class Lease:
    """Renews the lease of a claimed run while the context is open; `lost` is set when the run must stop at once.

    `begun` is the event loop's time from before the claim was sent.
    """

    def __init__(self, settings: Settings, claim: Claim, begun: float) -> None:
        self.lost = asyncio.Event()
        self._settings = settings
        self._claim = claim
        self._give_up_at = begun + settings.lease_seconds * GIVE_UP_AFTER
        self._connection: psycopg.AsyncConnection | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._keeping = asyncio.create_task(self._keep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)

    async def _keep(self) -> None:
        try:
            while await self._renew_in_time():  # noqa: ASYNC110 - this waits for time to pass, not for an event
                await asyncio.sleep(self._settings.lease_seconds * RENEW_AFTER)
            log.warning("lease_lost", run_id=str(self._claim.run_id), fence=self._claim.fence)
        finally:
            # Also if this task failed: a run whose lease is not renewed must not go on.
            self.lost.set()
            await self._disconnect()

    async def _renew_in_time(self) -> bool:
        """Whether the lease was renewed before it is time to give up."""
        loop = asyncio.get_running_loop()
        while (left := self._give_up_at - loop.time()) > 0:
            sent = loop.time()
            renewal = asyncio.create_task(self._renew())
            try:
                # Not by cancelling and awaiting the task: psycopg would request a cancel from the server and wait for
                # the response, and a server that does not respond would block it.
                done, _ = await asyncio.wait([renewal], timeout=left)
            finally:
                if not renewal.done():
                    _abandon(renewal, self._connection)
                    self._connection = None
            if not done:
                return False
            try:
                is_held = renewal.result()
            except (psycopg.Error, OSError):
                await self._disconnect()
                await asyncio.sleep(_PAUSE)
                continue
            self._give_up_at = sent + self._settings.lease_seconds * GIVE_UP_AFTER
            return is_held
        return False

    async def _renew(self) -> bool:
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(
                conninfo(app_url(self._settings)),
                autocommit=True,
                connect_timeout=CONNECT_SECONDS,
                application_name="ims lease",
                **NETWORK,
            )
        renewed = await self._connection.execute(
            _RENEW,
            {"lease": self._settings.lease_seconds, "run_id": self._claim.run_id, "fence": self._claim.fence},
        )
        return renewed.rowcount == 1

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await connection.close()


_abandoned: set["asyncio.Task[bool]"] = set()
"""References to abandoned renewals, because the event loop keeps only weak references to its tasks."""


def _abandon(renewal: "asyncio.Task[bool]", connection: psycopg.AsyncConnection | None) -> None:
    """Let a renewal end by itself and close its connection only then, so that no connection in use is closed."""

    def end(ended: "asyncio.Task[bool]") -> None:
        _abandoned.discard(ended)
        if not ended.cancelled():
            ended.exception()  # retrieved, so that the loop does not log it
        if connection is not None:
            connection.pgconn.finish()

    _abandoned.add(renewal)
    renewal.add_done_callback(end)
    renewal.cancel()
