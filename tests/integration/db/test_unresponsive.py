"""A database that is there and does not answer, or has no space left."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from sqlalchemy import text

from ims.core.db import connection, readiness
from ims.core.db.engine import Database, app_url
from ims.core.errors import DatabaseAway, DatabaseDiskFull, DatabaseUnresponsive
from ims.core.settings import Settings
from tests.support.postgres import PostgresServer

DISK_FULL = (
    "DO $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$"
)


@pytest.fixture
def impatient(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database whose statements end after a second, and whose clients wait half a second more."""
    monkeypatch.setattr(connection, "MARGIN_SECONDS", 0.5)
    database = Database(app_url(settings), pool_size=2, statement_seconds=1)
    yield database
    database.dispose()


@contextmanager
def frozen(postgres: PostgresServer) -> Iterator[None]:
    """Every process of the server stands still, as in a virtual machine that is paused."""
    master = psutil.Process(int((postgres.data / "postmaster.pid").read_text().split()[0]))
    processes = [master, *master.children(recursive=True)]
    for process in processes:
        os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process.pid, signal.SIGCONT)


def test_a_frozen_server_holds_nobody_longer_than_a_statement_may_take(
    impatient: Database, postgres: PostgresServer
) -> None:
    direct = impatient.direct()
    with impatient.begin() as session:
        session.execute(text("SELECT 1"))
    with direct.begin() as execute:
        execute("SELECT 1", {}).fetchall()
    with frozen(postgres):
        began = time.monotonic()
        with pytest.raises(DatabaseUnresponsive), impatient.begin() as session:
            session.execute(text("SELECT 1"))
        with pytest.raises(DatabaseUnresponsive), direct.begin() as execute:
            execute("SELECT 1", {}).fetchall()
        assert time.monotonic() - began < 10
        assert readiness.fault(impatient) == "not answering in time"
    with impatient.begin() as session:
        assert session.scalar(text("SELECT 1")) == 1
    with direct.begin() as execute:
        assert execute("SELECT 1", {}).fetchall() == [(1,)]
    assert readiness.fault(impatient) is None


def test_a_statement_that_takes_too_long_is_ended_by_the_server(impatient: Database) -> None:
    with pytest.raises(DatabaseAway), impatient.begin() as session:
        session.execute(text("SELECT pg_sleep(20)"))


def test_a_full_disk_is_reported_as_such(impatient: Database) -> None:
    with pytest.raises(DatabaseDiskFull), impatient.begin() as session:
        session.execute(text(DISK_FULL))
    direct = impatient.direct()
    with pytest.raises(DatabaseDiskFull), direct.begin() as execute:
        execute(DISK_FULL, {}).fetchall()


def test_a_database_without_space_is_not_ready(impatient: Database, postgres: PostgresServer) -> None:
    """What readiness writes to the disk fails as it would there."""
    postgres.execute(
        "CREATE SCHEMA trap",
        "CREATE FUNCTION trap.generate_series(int, int) RETURNS SETOF int LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'could not write to file: No space left on device' USING ERRCODE = '53100'; END $$",
        "GRANT USAGE ON SCHEMA trap TO ims_app",
        "ALTER ROLE ims_app SET search_path = trap, pg_catalog, public",
        database="ims",
    )
    try:
        assert readiness.fault(impatient) == "disk full"
    finally:
        postgres.execute("ALTER ROLE ims_app RESET search_path", "DROP SCHEMA trap CASCADE", database="ims")
    assert readiness.fault(impatient) is None


def test_what_readiness_writes_reaches_the_disk(impatient: Database, postgres: PostgresServer) -> None:
    def written() -> int:
        with impatient.begin() as session:
            session.execute(text("SELECT pg_stat_force_next_flush()"))
        with impatient.begin() as session:
            return int(session.scalar(text("SELECT temp_bytes FROM pg_stat_database WHERE datname = 'ims'")) or 0)

    before = written()
    impatient.check(2)
    deadline = time.monotonic() + 10
    while written() == before:
        assert time.monotonic() < deadline
        time.sleep(0.1)
