"""Statements without SQLAlchemy above them, for the one place where that counts: what the webhook commits.

A statement is SQL with psycopg's `%(name)s`. Whoever writes statements for both worlds gets an `Execute`: `through` a
session it is one of its statements like any other, on a `DirectConnection` it is prepared once and sent without waiting
for the ones before. Reading a result is what waits.
"""

import select
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, LiteralString, Protocol, cast

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy.orm import Session

from ims.errors import DatabaseAway

Connect = Callable[[], psycopg.Connection[Any]]


class Rows(Protocol):
    """The result of a statement, read when it is needed."""

    def fetchall(self) -> Sequence[Any]:
        """All rows, as tuples."""


class Execute(Protocol):
    """Runs one statement in the caller's transaction."""

    def __call__(self, statement: LiteralString, parameters: Mapping[str, Any], /) -> Rows:
        """The statement was sent; its result can be read."""


def through(session: Session) -> Execute:
    """Statements of a session's transaction, after what the session has still to write."""
    session.flush()
    return cast(Execute, session.connection().exec_driver_sql)


class DirectConnection:
    """One connection in pipeline mode: statements are sent at once, and only a result that is read is waited for.

    It is opened when it is first needed. One thread at a time may use it.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: psycopg.Connection[Any] | None = None

    @contextmanager
    def begin(self) -> Iterator[Execute]:
        """One transaction: commits at the end, rolls back on any error.

        Raises `DatabaseAway` as `Database.begin` does, and psycopg's errors for what PostgreSQL refuses.
        """
        try:
            connection = self._opened()
            with connection.pipeline() as pipeline, _drained_on_error(pipeline):
                connection.execute("BEGIN", prepare=False)
                yield lambda statement, parameters: connection.execute(statement, parameters, prepare=True, binary=True)
                connection.execute("COMMIT", prepare=False)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise DatabaseAway from error
        finally:
            self._leave_clean()

    def close(self) -> None:
        """Close the connection; the next transaction opens another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _opened(self) -> psycopg.Connection[Any]:
        if self._connection is not None and _is_hung_up(self._connection):
            self.close()
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _leave_clean(self) -> None:
        """Roll back what was not committed. A connection with which that cannot be done is not used again."""
        connection = self._connection
        if connection is None or connection.info.transaction_status is TransactionStatus.IDLE:
            return
        try:
            connection.execute("ROLLBACK", prepare=False)
        except psycopg.Error:
            self.close()


@contextmanager
def _drained_on_error(pipeline: psycopg.Pipeline) -> Iterator[None]:
    """After an error, read what the other statements answered: they were skipped, and have nothing to tell."""
    try:
        yield
    except BaseException:
        with suppress(psycopg.Error):
            pipeline.sync()
        raise


def _is_hung_up(connection: psycopg.Connection[Any]) -> bool:
    """Whether the server has closed an idle connection, or said that it will: seen without asking it anything."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
