"""Statements without SQLAlchemy, for the one place where its cost counts: the webhook's commits.

A statement is SQL with psycopg's `%(name)s`. Code that runs both in a session and on a direct connection takes an
`Execute`. With `through(session)` it is one of the session's statements like any other. On a `DirectConnection` each
statement is prepared once and then only queued; the queue is sent to PostgreSQL when a result is read. This is libpq's
pipeline mode without psycopg's cursors: a cursor sends each statement separately, and its work before that costs twice
as much as everything here.
"""

import itertools
import re
import select
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString, Protocol, cast

import psycopg
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGresult
from sqlalchemy.orm import Session

from ims.core.db.connection import BoundedConnection, Unresponsive, as_away

Connect = Callable[[], BoundedConnection]

_TIMESTAMPTZ, _BIGINT, _DOUBLE = 1184, 20, 701
_TYPES: Final[Mapping[type, int]] = {datetime: _TIMESTAMPTZ, int: _BIGINT, float: _DOUBLE}
"""Types that are declared to PostgreSQL; it infers the types of all other parameters."""
_PARAMETER = re.compile(r"%\((\w+)\)s")
_BEGIN: Final = "BEGIN"
_COMMIT: Final = "COMMIT"
_ROLLBACK: Final = "ROLLBACK"


class Rows(Protocol):
    """The result of a statement, read when it is needed."""

    def fetchall(self) -> Sequence[Any]:
        """All rows, as tuples."""


class Execute(Protocol):
    """Runs one statement in the caller's transaction."""

    def __call__(self, statement: LiteralString, parameters: Mapping[str, Any], /) -> Rows:
        """Start the statement; its result can be read from `Rows`."""


def through(session: Session) -> Execute:
    """An `Execute` for a session's transaction; flushes the session's pending changes first."""
    session.flush()
    return cast(Execute, session.connection().exec_driver_sql)


class DirectConnection:
    """One lasting connection, opened when it is first used. Only one thread at a time may use it."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._pipeline: _Pipeline | None = None

    @contextmanager
    def begin(self) -> Iterator[Execute]:
        """One transaction: commits at the end, rolls back on any error.

        Raises `DatabaseAway` as `Database.begin` does, and psycopg's errors for statements that PostgreSQL rejects.
        """
        try:
            pipeline = self._opened()
            pipeline.execute(_BEGIN, {})
            yield pipeline.execute
            pipeline.execute(_COMMIT, {})
            pipeline.finish()
        except BaseException as error:
            if isinstance(error, Unresponsive):
                self.close()
            else:
                self._roll_back()
            if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
                raise as_away(error) from error
            raise

    def close(self) -> None:
        """Close the connection; the next transaction opens another one."""
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            pipeline.connection.close()

    def _opened(self) -> "_Pipeline":
        if self._pipeline is not None and self._pipeline.is_hung_up():
            self.close()
        if self._pipeline is None:
            self._pipeline = _Pipeline(self._connect())
        return self._pipeline

    def _roll_back(self) -> None:
        """Roll back; a connection on which that fails is closed and not used again."""
        if self._pipeline is None:
            return
        try:
            self._pipeline.discard()
            if self._pipeline.is_in_transaction:
                self._pipeline.execute(_ROLLBACK, {})
                self._pipeline.finish()
        except psycopg.Error:
            self.close()


@dataclass(slots=True)
class _Queued:
    """A statement whose result may not have been read yet."""

    pipeline: "_Pipeline"
    prepares: str | None = None
    result: PGresult | None = None

    def fetchall(self) -> Sequence[Any]:
        """Send the queued statements, wait for everything up to this one and return its rows."""
        self.pipeline.read_until(self)
        transformer = Transformer(self.pipeline.connection)
        transformer.set_pgresult(self.result, format=Format.BINARY)
        return transformer.load_rows(0, self.result.ntuples if self.result else 0, tuple)


class _Pipeline:
    """libpq's pipeline mode: statements are queued, and their results come in the same order."""

    def __init__(self, connection: BoundedConnection) -> None:
        self.connection = connection
        self._libpq = connection.pgconn
        self._libpq.enter_pipeline_mode()
        self._prepared: dict[str, tuple[bytes, list[str]]] = {}
        """Name and order of the parameters of each statement."""
        self._numbers = itertools.count()
        self._unread: deque[_Queued] = deque()
        self._syncs = 0
        """Sync messages that were sent and not answered yet."""
        self._readable, self._writable = select.poll(), select.poll()
        self._readable.register(connection.fileno(), select.POLLIN)
        self._writable.register(connection.fileno(), select.POLLIN | select.POLLOUT)

    @property
    def is_in_transaction(self) -> bool:
        """Whether there is a transaction to roll back."""
        return self._libpq.transaction_status != TransactionStatus.IDLE

    def is_hung_up(self) -> bool:
        """Whether the server has closed the idle connection or announced that it will; needs no round trip."""
        return self.connection.closed or bool(self._readable.poll(0))

    def execute(self, statement: str, parameters: Mapping[str, Any]) -> _Queued:
        """Queue a statement, and prepare it if it is new."""
        if (known := self._prepared.get(statement)) is None:
            known = self._prepare(statement, parameters)
        name, order = known
        self._libpq.send_query_prepared(name, [_as_text(parameters[one]) for one in order], result_format=Format.BINARY)
        self._unread.append(queued := _Queued(self))
        return queued

    def _prepare(self, statement: str, parameters: Mapping[str, Any]) -> tuple[bytes, list[str]]:
        order = list(dict.fromkeys(_PARAMETER.findall(statement)))
        sql = _PARAMETER.sub(lambda found: f"${order.index(found[1]) + 1}", statement)
        name = f"direct_{next(self._numbers)}".encode()
        types = [_TYPES.get(type(parameters[one]), 0) for one in order]
        self._libpq.send_prepare(name, sql.encode(), types)
        self._unread.append(_Queued(self, prepares=statement))
        self._prepared[statement] = name, order
        return name, order

    def read_until(self, queued: _Queued) -> None:
        """Wait for a statement's result. Raises the first error of this statement and those before it."""
        if queued.result is None:
            self._libpq.send_flush_request()
            self._flush()
        while queued.result is None:
            self._read_next()

    def finish(self) -> None:
        """Wait for all results. Raises the first error."""
        self._sync()
        while self._unread:
            self._read_next()
        while self._syncs:
            self._next_result()

    def discard(self) -> None:
        """After an error: skip the statements under way, so that the connection can be used again."""
        while self._unread:
            if (statement := self._unread.popleft().prepares) is not None:
                del self._prepared[statement]
        self._sync()
        while self._syncs:
            self._next_result()

    def _sync(self) -> None:
        """Send a sync message, at which the server resumes after an error."""
        self._libpq.pipeline_sync()
        self._syncs += 1
        self._flush()

    def _read_next(self) -> None:
        result = self._next_result()
        if result is None or self._next_result() is not None:
            raise psycopg.OperationalError("the results of the pipeline came out of order")
        if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
            raise error_from_result(result, "utf-8")
        self._unread.popleft().result = result

    def _next_result(self) -> PGresult | None:
        while self._libpq.is_busy():
            self._wait(self._readable)
            self._libpq.consume_input()
        result = self._libpq.get_result()
        if self._libpq.status == ConnStatus.BAD:
            raise psycopg.OperationalError("the connection was lost")
        if result is not None and result.status == ExecStatus.PIPELINE_SYNC:
            self._syncs -= 1
        return result

    def _flush(self) -> None:
        # Both sides may be writing: read what comes meanwhile, or each would wait for the other.
        while self._libpq.flush():
            self._wait(self._writable)
            self._libpq.consume_input()

    def _wait(self, event: select.poll) -> None:
        if not event.poll(self.connection.seconds * 1000):
            raise Unresponsive("the server does not answer in time")


def _as_text(value: Any) -> bytes | None:
    return None if value is None else str(value).encode()
