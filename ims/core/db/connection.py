"""Connections that do not wait for ever.

PostgreSQL ends a statement that takes too long, but only a PostgreSQL that runs: one that is frozen, or behind a
network that swallows packets, says nothing, and its client would wait until somebody ends it. So the client has
deadlines of its own, longer than the server's: to connect, for the answer to each statement, and for its packets to be
acknowledged.
"""

from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg import errors

from ims.core.errors import DatabaseAway, DatabaseDiskFull, DatabaseUnresponsive

CONNECT_SECONDS: Final = 3
STATEMENT_SECONDS: Final = 30.0
"""PostgreSQL ends a statement then."""
MARGIN_SECONDS: Final = 5.0
"""How much longer the client waits for an answer: the server's own word about a slow statement says more."""
NETWORK: Final[Mapping[str, Any]] = {
    # Milliseconds until data that nobody acknowledges ends the connection; by default, a quarter of an hour.
    "tcp_user_timeout": 15_000,
    # The same for a connection that only waits: seconds, seconds, and how many go unanswered.
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
"""Parameters of libpq for every connection to the database."""


class Unresponsive(psycopg.OperationalError):
    """The server did not answer within the time that a connection may wait."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection whose every wait for the server ends, and the connection with it."""

    seconds: float = STATEMENT_SECONDS + MARGIN_SECONDS

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """As psycopg's own. Raises `Unresponsive`."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.seconds)
        except errors._WaitTimeout as error:
            # What the server still has to say belongs to a statement that nobody waits for.
            self.pgconn.finish()
            raise Unresponsive("the server does not answer in time") from error


def open_connection(
    conninfo: str = "", *, statement_seconds: float = STATEMENT_SECONDS, options: str = "", **parameters: Any
) -> BoundedConnection:
    """Connect. Raises psycopg's errors."""
    given = {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "ims",
        "options": f"-c statement_timeout={int(statement_seconds * 1000)} -c timezone=UTC {options}".strip(),
        **NETWORK,
        **parameters,
    }
    connection = BoundedConnection.connect(conninfo, **given)
    connection.seconds = statement_seconds + MARGIN_SECONDS
    return connection


def as_away(error: BaseException) -> DatabaseAway:
    """Why the database cannot be used, by a driver's error or what wraps it."""
    at: BaseException | None = error
    while at is not None:
        found = getattr(at, "orig", None) or at
        if isinstance(found, errors.DiskFull):
            return DatabaseDiskFull()
        if isinstance(found, Unresponsive | errors.ConnectionTimeout):
            return DatabaseUnresponsive()
        at = at.__cause__
    return DatabaseAway()
