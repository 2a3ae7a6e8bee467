"""Fixtures that every kind of test shares."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from sqlalchemy import make_url, text
from sqlalchemy.orm import Session

from ims.core.db.engine import Database, app_url
from ims.core.db.migrate import migrate
from ims.core.settings import Settings
from tests.support.postgres import DEBIAN_15, WHEEL_TREE, PostgresServer
from tests.support.terminal import typed

APP_TABLES_KEPT = {"alembic_version"}

# No test asserts a time: an example may take longer when the machine is busy.
hypothesis_settings.register_profile("ims", deadline=None)
hypothesis_settings.load_profile("ims")


@dataclass
class Servers:
    """The PostgreSQL servers of a session, each started when it is first asked for and kept until the end.

    pytest ends a parametrized fixture whenever the parameter changes, which is twice for every file.
    """

    directories: pytest.TempPathFactory
    running: dict[str, PostgresServer] = field(default_factory=dict)
    settings: dict[str, Settings] = field(default_factory=dict)

    def server(self, version: str) -> PostgresServer:
        """A running server; skips the test if this version is not installed."""
        tree = WHEEL_TREE if version == "18" else DEBIAN_15
        if not (tree / "bin/postgres").exists():
            pytest.skip(f"PostgreSQL {version} is not installed on this machine")
        if version not in self.running:
            server = PostgresServer(tree, Path(tempfile.mkdtemp(prefix="ims-test-postgres-")))
            self.running[version] = server
            server.create()
            # Durability is tested where it matters, by kill -9 of servers that keep fsync; here it only costs time.
            server.start("fsync=off")
            # No statistics but those a test makes: a plan that a test looks at depends on nothing that ran before it.
            server.execute("ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()")
            server.create_database()
            self.settings[version] = server.settings(
                self.directories.mktemp("state"),
                database_pool_size=20,
                secret_key="only for tests: 0123456789abcdef",
            )
            migrate(self.settings[version])
        return self.running[version]

    def stop(self) -> None:
        for server in self.running.values():
            server.stop()
            shutil.rmtree(server.directory, ignore_errors=True)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(tmp_path_factory)
    try:
        yield servers
    finally:
        servers.stop()


@pytest.fixture(scope="session", params=["18", "15"])
def postgres(request: pytest.FixtureRequest, servers: Servers) -> PostgresServer:
    """A running PostgreSQL: every integration test runs on the embedded 18, and on 15 where Debian's is installed."""
    return servers.server(request.param)


@pytest.fixture(scope="session")
def settings(postgres: PostgresServer, servers: Servers) -> Settings:
    """Settings of programs that use the test's database; migrated once."""
    return next(servers.settings[version] for version, server in servers.running.items() if server is postgres)


@pytest.fixture
def database(settings: Settings, postgres: PostgresServer) -> Iterator[Database]:
    """The programs' database, emptied after the test: for tests that commit."""
    database = Database(app_url(settings), pool_size=20)
    yield database
    database.dispose()
    _empty(settings, postgres)


@pytest.fixture
def session(settings: Settings) -> Iterator[Session]:
    """A session whose transaction is rolled back after the test."""
    database = Database(app_url(settings), pool_size=1)
    with database.engine.connect() as connection:
        transaction = connection.begin()
        with Session(connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session:
            yield session
        transaction.rollback()
    database.dispose()


@pytest.fixture
def terminal(
    settings: Settings, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    """The test may call `ims.cli.main.main`: it asks a server of the test's database, which this gives."""
    directory = tmp_path / "terminal"
    directory.mkdir()
    with typed(settings, database, directory, monkeypatch):
        yield database


def _empty(settings: Settings, postgres: PostgresServer) -> None:
    """Empty all tables, as the owner: the programs' role may not."""
    owner = Database(make_url(postgres_owner_url(settings, postgres)), pool_size=1)
    with owner.begin() as session:
        names = session.scalars(
            text(
                "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' AND tablename <> ALL(:kept)"
            ),
            {"kept": list(APP_TABLES_KEPT)},
        ).all()
        session.execute(text(f"TRUNCATE {', '.join(names)} RESTART IDENTITY CASCADE"))
    owner.dispose()


def postgres_owner_url(settings: Settings, postgres: PostgresServer) -> str:
    """URL of the owner role, with its password."""
    url = make_url(settings.database_owner_url).set(drivername="postgresql+psycopg", password=postgres.password)
    return url.render_as_string(hide_password=False)
