"""Procrastinate's connection to a PostgreSQL that may go away and come back.

By itself, Procrastinate's worker ends after one failed statement, and a job whose end could not be written stays
`doing` for ever. This connector repeats every statement of the queue until the database is back, so that neither a
heartbeat nor the end of a job gets lost. A statement whose commit is uncertain may be executed twice. At worst a job is
fetched and not begun, which the sweep finds, or begun twice, which all our jobs tolerate.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeVar

import psycopg
from procrastinate import PsycopgConnector
from procrastinate.connector import Notify
from procrastinate.exceptions import ConnectorException

from ims.core.db.connection import CONNECT_SECONDS, NETWORK
from ims.core.db.engine import app_url, conninfo
from ims.core.log import logger
from ims.core.settings import Settings

T = TypeVar("T")

_PAUSE: Final = 0.5
_MOST_CONNECTIONS: Final = 4
_POOL_SECONDS: Final = 3.0

log = logger(__name__)


class PatientConnector(PsycopgConnector):
    """Repeats statements that fail because the database is away; raises all other errors."""

    @classmethod
    def of(cls, settings: Settings) -> "PatientConnector":
        return cls(
            conninfo=conninfo(app_url(settings)),
            # A network that drops packets ends these connections, too; a statement of the queue may wait for a lock.
            kwargs={"connect_timeout": CONNECT_SECONDS, "application_name": "ims queue", **NETWORK},
            min_size=1,
            max_size=_MOST_CONNECTIONS,
            timeout=_POOL_SECONDS,
            # The pool's own attempts to reconnect become rare; each repeated statement makes it connect at once.
            reconnect_timeout=_POOL_SECONDS,
        )

    _is_away = False

    async def execute_query_async(self, query: Any, **arguments: Any) -> None:
        """Execute a statement; repeat it while the database is away."""
        await self._patiently(lambda: super(PatientConnector, self).execute_query_async(query, **arguments))

    async def execute_query_one_async(self, query: Any, **arguments: Any) -> dict[str, Any]:
        """The one row of a query, which is repeated while the database is away."""
        return await self._patiently(lambda: super(PatientConnector, self).execute_query_one_async(query, **arguments))

    async def execute_query_all_async(self, query: Any, **arguments: Any) -> list[dict[str, Any]]:
        """The rows of a query, which is repeated while the database is away."""
        return await self._patiently(lambda: super(PatientConnector, self).execute_query_all_async(query, **arguments))

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Listen for jobs; polling finds those that are missed while the database is away."""
        await self._patiently(
            lambda: super(PatientConnector, self).listen_notify(on_notification=on_notification, channels=channels)
        )

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                result = await work()
            except ConnectorException as error:
                if not isinstance(error.__cause__, psycopg.OperationalError | psycopg.InterfaceError):
                    raise
                if not self._is_away:
                    log.warning("queue_database_away")
                self._is_away = True
                await asyncio.sleep(_PAUSE)
            else:
                if self._is_away:
                    log.info("queue_database_back")
                self._is_away = False
                return result
