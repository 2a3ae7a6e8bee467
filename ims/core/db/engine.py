"""Connections and transactions.

The caller owns the transaction: `with database.begin() as session:` commits at its end or rolls back on an error.
Everything inside, jobs included, is one commit.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final, cast

import psycopg
from sqlalchemy import URL, DateTime, create_engine, event, func, make_url, select, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.orm import Session, sessionmaker

from ims.core.db.connection import STATEMENT_SECONDS, BoundedConnection, open_connection
from ims.core.db.connection import as_away as _away
from ims.core.db.direct import DirectConnection
from ims.core.errors import DatabaseAway
from ims.core.settings import Settings

POOL_WAIT_SECONDS = 5
CLOCK_SECONDS: Final = 5.0
"""How old a process's knowledge of the database's clock may be; afterwards it asks again."""


def app_url(settings: Settings) -> URL:
    """URL of the programs' role, with its password."""
    password = settings.database_password.get_secret_value() if settings.database_password else None
    return _psycopg_url(settings.database_url, password)


def owner_url(settings: Settings) -> URL:
    """URL of the role that owns the tables, with its password."""
    password = settings.database_owner_password.get_secret_value() if settings.database_owner_password else None
    return _psycopg_url(settings.database_owner_url, password)


def _psycopg_url(url: str, password: str | None) -> URL:
    parsed = make_url(url).set(drivername="postgresql+psycopg")
    return parsed.set(password=password) if password else parsed


def conninfo(url: URL) -> str:
    """The same address as a libpq connection string, for psycopg and Procrastinate."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


class Database:
    """A pool of connections to the one PostgreSQL. Opens nothing until it is used."""

    def __init__(self, url: URL, *, pool_size: int = 5, statement_seconds: float = STATEMENT_SECONDS) -> None:
        self.url = url
        self._statement_seconds = statement_seconds
        self.is_schema_checked = False
        """Whether its tables were compared with the models, and agree."""
        self._clock: tuple[datetime, float] | None = None
        """The database's time, and the seconds of this machine since its start at that moment."""
        self._direct: list[DirectConnection] = []
        self.engine = create_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_WAIT_SECONDS,
            # PostgreSQL may have been restarted: this detects a dead connection before it is used.
            pool_pre_ping=True,
        )
        event.listen(self.engine, "do_connect", self._connect)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @classmethod
    def of(cls, settings: Settings) -> "Database":
        """The programs' database, as configured by the settings."""
        return cls(
            app_url(settings),
            pool_size=settings.database_pool_size,
            statement_seconds=settings.database_statement_seconds,
        )

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A session in one transaction: commits at the end, rolls back on any error.

        Raises `DatabaseAway` when PostgreSQL cannot be reached or goes away during the transaction. Whether a commit
        under way took effect is then unknown, so callers may report it as not done only when a repeat is harmless.
        """
        try:
            with self._sessions.begin() as session:
                yield session
        except (OperationalError, InterfaceError, PoolExhausted) as error:
            raise _away(error) from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise _away(error) from error
            raise

    def now(self) -> datetime:
        """The database's time, which is the only one that may be stored or compared with what is stored.

        Asks the database every few seconds; in between counts seconds, which a change of this machine's date does not
        disturb. Raises `DatabaseAway` only if the database never answered. Blocks; inside a transaction use
        `database_now`, on an event loop `last_known_now`.
        """
        if self._clock is None or _uptime() - self._clock[1] > CLOCK_SECONDS:
            try:
                with self.begin() as session:
                    self._clock = (database_now(session), _uptime())
            except DatabaseAway:
                if self._clock is None:
                    raise
        return self._counted(self._clock)

    def last_known_now(self) -> datetime:
        """The database's time as counted since `now` last asked. Never blocks. Raises `DatabaseAway` before that."""
        if self._clock is None:
            raise DatabaseAway
        return self._counted(self._clock)

    @staticmethod
    def _counted(clock: tuple[datetime, float]) -> datetime:
        return clock[0] + timedelta(seconds=_uptime() - clock[1])

    def ping(self) -> None:
        """One round trip. Raises `DatabaseAway`."""
        with self.begin() as session:
            session.execute(text("SELECT 1"))

    def direct(self) -> DirectConnection:
        """A separate connection for statements without SQLAlchemy, opened when it is first used."""
        connection = DirectConnection(self._connect_directly)
        self._direct.append(connection)
        return connection

    def _connect(self, _dialect: object, _record: object, arguments: Any, parameters: dict[str, Any]) -> Any:
        return open_connection(*arguments, statement_seconds=self._statement_seconds, **parameters)

    def _connect_directly(self) -> BoundedConnection:
        return open_connection(
            conninfo(self.url), statement_seconds=self._statement_seconds, options=_LASTING_PLANS, autocommit=True
        )

    def check(self, seconds: float) -> None:
        """Whether the database can be used at all, asked on a connection of its own that waits so long at most.

        A list that does not fit into the least memory goes to the database's disk, which says whether there is space.
        Raises `DatabaseAway` and, if it is known why, one of its kinds.
        """
        try:
            with open_connection(conninfo(self.url), statement_seconds=seconds, autocommit=True) as connection:
                connection.seconds = seconds
                connection.execute("SET work_mem = '64kB'")
                connection.execute("SELECT count(*) FROM generate_series(1, 8000)")
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise _away(error) from error

    def dispose(self) -> None:
        """Close all connections. None of them may be in use."""
        self.engine.dispose()
        for connection in self._direct:
            connection.close()


def database_now(session: Session) -> datetime:
    """The database's time at this moment, with zone UTC: the clock of everything that is stored.

    Machines may disagree about the time, and a machine's date may jump by years; there is one database.
    """
    return session.execute(select(func.clock_timestamp(type_=DateTime(timezone=True)))).scalar_one()


def _uptime() -> float:
    """Seconds since this machine was started, including those for which it was suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


# A plan is made once and kept. A plan made while the tables were empty would scan them sequentially for ever; every
# statement that is sent directly finds its rows by an index.
_LASTING_PLANS = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off"


def jobs_connection(session: Session) -> psycopg.Connection:
    """The session's own psycopg connection, for `task.configure(connection=…)`: the job is part of the transaction."""
    return cast(psycopg.Connection, session.connection().connection.driver_connection)
