"""Database connections with a deadline for every wait.

PostgreSQL ends a statement that takes too long, but not if it is frozen itself, or behind a network that drops packets:
then the client would wait for ever. So the client has deadlines of its own, longer than the server's: for connecting,
for the answer to each statement, and for the acknowledgement of its packets.
"""

from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg import errors

from ims.core.errors import DatabaseAway, DatabaseDiskFull, DatabaseUnresponsive

CONNECT_SECONDS: Final = 3
STATEMENT_SECONDS: Final = 30.0
"""PostgreSQL's `statement_timeout`."""
MARGIN_SECONDS: Final = 5.0
"""How much longer the client waits than PostgreSQL: the server's error about a slow statement says more than ours."""
NETWORK: Final[Mapping[str, Any]] = {
    # Milliseconds until sent data without an acknowledgement ends the connection; Linux's default is about 15 minutes.
    "tcp_user_timeout": 15_000,
    # The same for a connection on which nothing is sent: 15 seconds, then three probes, 5 seconds apart.
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
"""libpq parameters of every connection to the database."""


class Unresponsive(psycopg.OperationalError):
    """The server did not answer in time."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that waits at most `seconds` for each answer, and is closed if none comes."""

    seconds: float = STATEMENT_SECONDS + MARGIN_SECONDS

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Like psycopg's own `wait`, with a default timeout. Raises `Unresponsive`."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.seconds)
        except errors._WaitTimeout as error:
            # A late answer would belong to a statement that nobody waits for: the connection cannot be used again.
            self.pgconn.finish()
            raise Unresponsive("the server does not answer in time") from error


def open_connection(
    conninfo: str = "", *, statement_seconds: float = STATEMENT_SECONDS, options: str = "", **parameters: Any
) -> BoundedConnection:
    """Open a connection with these deadlines. Raises psycopg's errors."""
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
    """The `DatabaseAway` that describes an error of the driver, which another exception may wrap."""
    at: BaseException | None = error
    while at is not None:
        found = getattr(at, "orig", None) or at
        if isinstance(found, errors.DiskFull):
            return DatabaseDiskFull()
        if isinstance(found, Unresponsive | errors.ConnectionTimeout):
            return DatabaseUnresponsive()
        at = at.__cause__
    return DatabaseAway()
