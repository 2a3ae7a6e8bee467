"""Statements without SQLAlchemy above them, for the one place where that counts: what the webhook commits.

A statement is SQL with psycopg's `%(name)s`. Whoever writes statements for both worlds gets an `Execute`: `through` a
session it is one of its statements like any other. On a `DirectConnection` it is prepared once and then only noted;
what was noted goes to PostgreSQL together, when a result is read. That is libpq's pipeline mode, used by itself:
psycopg's cursors send each statement for itself, and what they do before that costs twice as much as everything here.
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
"""What PostgreSQL is told of a parameter; of everything else it sees itself what it is."""
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
        """The statement is under way; its result can be read."""


def through(session: Session) -> Execute:
    """Statements of a session's transaction, after what the session has still to write."""
    session.flush()
    return cast(Execute, session.connection().exec_driver_sql)


class DirectConnection:
    """One connection that is kept, opened when it is first needed. One thread at a time may use it."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._pipeline: _Pipeline | None = None

    @contextmanager
    def begin(self) -> Iterator[Execute]:
        """One transaction: commits at the end, rolls back on any error.

        Raises `DatabaseAway` as `Database.begin` does, and psycopg's errors for what PostgreSQL refuses.
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
        """A connection with which that cannot be done is not used again."""
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
class _Noted:
    """A statement under way."""

    pipeline: "_Pipeline"
    prepares: str | None = None
    result: PGresult | None = None

    def fetchall(self) -> Sequence[Any]:
        """Send what was noted, wait for everything up to this statement and return its rows."""
        self.pipeline.read_until(self)
        transformer = Transformer(self.pipeline.connection)
        transformer.set_pgresult(self.result, format=Format.BINARY)
        return transformer.load_rows(0, self.result.ntuples if self.result else 0, tuple)


class _Pipeline:
    """libpq's pipeline mode: statements are queued, and answered in their order."""

    def __init__(self, connection: BoundedConnection) -> None:
        self.connection = connection
        self._libpq = connection.pgconn
        self._libpq.enter_pipeline_mode()
        self._prepared: dict[str, tuple[bytes, list[str]]] = {}
        """Name and order of the parameters of each statement."""
        self._numbers = itertools.count()
        self._unread: deque[_Noted] = deque()
        self._syncs = 0
        """Those that were sent and not answered yet."""
        self._readable, self._writable = select.poll(), select.poll()
        self._readable.register(connection.fileno(), select.POLLIN)
        self._writable.register(connection.fileno(), select.POLLIN | select.POLLOUT)

    @property
    def is_in_transaction(self) -> bool:
        """Whether something is to be rolled back."""
        return self._libpq.transaction_status != TransactionStatus.IDLE

    def is_hung_up(self) -> bool:
        """Whether the server has closed the idle connection, or said that it will: seen without asking it anything."""
        return self.connection.closed or bool(self._readable.poll(0))

    def execute(self, statement: str, parameters: Mapping[str, Any]) -> _Noted:
        """Note a statement, and prepare it if it is new."""
        if (known := self._prepared.get(statement)) is None:
            known = self._prepare(statement, parameters)
        name, order = known
        self._libpq.send_query_prepared(name, [_as_text(parameters[one]) for one in order], result_format=Format.BINARY)
        self._unread.append(noted := _Noted(self))
        return noted

    def _prepare(self, statement: str, parameters: Mapping[str, Any]) -> tuple[bytes, list[str]]:
        order = list(dict.fromkeys(_PARAMETER.findall(statement)))
        sql = _PARAMETER.sub(lambda found: f"${order.index(found[1]) + 1}", statement)
        name = f"direct_{next(self._numbers)}".encode()
        types = [_TYPES.get(type(parameters[one]), 0) for one in order]
        self._libpq.send_prepare(name, sql.encode(), types)
        self._unread.append(_Noted(self, prepares=statement))
        self._prepared[statement] = name, order
        return name, order

    def read_until(self, noted: _Noted) -> None:
        """Wait for a statement's result. Raises the first error of those before it."""
        if noted.result is None:
            self._libpq.send_flush_request()
            self._flush()
        while noted.result is None:
            self._read_next()

    def finish(self) -> None:
        """Wait until all is done. Raises the first error there was."""
        self._sync()
        while self._unread:
            self._read_next()
        while self._syncs:
            self._next_result()

    def discard(self) -> None:
        """After an error: skip what is under way, so that the connection listens again."""
        while self._unread:
            if (statement := self._unread.popleft().prepares) is not None:
                del self._prepared[statement]
        self._sync()
        while self._syncs:
            self._next_result()

    def _sync(self) -> None:
        """Where the server takes up its work again after an error."""
        self._libpq.pipeline_sync()
        self._syncs += 1
        self._flush()

    def _read_next(self) -> None:
        result = self._next_result()
        if result is None or self._next_result() is not None:
            raise psycopg.OperationalError("the pipeline answered in another order than it should")
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
        # Both sides may be at writing: what comes is read, lest each waits for the other.
        while self._libpq.flush():
            self._wait(self._writable)
            self._libpq.consume_input()

    def _wait(self, event: select.poll) -> None:
        if not event.poll(self.connection.seconds * 1000):
            raise Unresponsive("the server does not answer in time")


def _as_text(value: Any) -> bytes | None:
    return None if value is None else str(value).encode()
