"""The PostgreSQL of a measurement, and how many commits a second it can do at all."""

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString

import psycopg

from benchmarks.programs import BenchmarkFailed
from tests.support.postgres import WHEEL_TREE, PostgresServer

# As the role postgresql sets them: durable, and modest in memory.
OPTIONS = ("fsync=on", "synchronous_commit=on", "shared_buffers=128MB", "max_wal_size=1GB")

COMMIT = "INSERT INTO commit_rate (note) VALUES ('one row, one commit')"
COMMIT_AND_NOTIFY = (
    "WITH row AS (INSERT INTO commit_rate (note) VALUES ('one row, one commit') RETURNING id) "
    "SELECT pg_notify('bench', id::text) FROM row"
)


@contextlib.contextmanager
def postgres_server(directory: Path) -> Iterator[PostgresServer]:
    """The embedded PostgreSQL 18 with a data directory of its own in `directory`, fsync on."""
    directory.mkdir()
    server = PostgresServer(WHEEL_TREE, directory)
    try:
        server.create()
        server.start(*OPTIONS)
        yield server
    finally:
        server.stop()


def number(server: PostgresServer, database: str, query: LiteralString) -> int:
    """The single number that a query answers with."""
    with psycopg.connect(server.superuser_conninfo(database)) as connection:
        return int(*connection.execute(query).fetchone() or ())


def postgres_version(server: PostgresServer) -> str:
    """For the description of a table."""
    with psycopg.connect(server.superuser_conninfo()) as connection:
        return f"PostgreSQL {connection.info.parameter_status('server_version')}"


def prepare_commit_rate(server: PostgresServer) -> None:
    """A database with one table to insert into."""
    server.execute("CREATE DATABASE commits")
    server.execute(
        "CREATE TABLE commit_rate (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text)", database="commits"
    )


def commit_rate(server: PostgresServer, statement: str, directory: Path, *, clients: int, seconds: int) -> float:
    """Commits a second that `clients` connections reach together, each repeating `statement`."""
    script = directory / "commit.sql"
    script.write_text(f"{statement};\n")
    done = subprocess.run(
        [
            str(server.tree / "bin/pgbench"), "--no-vacuum", "--protocol=prepared", f"--file={script}",
            f"--client={clients}", "--jobs=2", f"--time={seconds}", "--host=127.0.0.1", f"--port={server.port}",
            "--username=postgres", "commits",
        ],
        env=os.environ | {"PGPASSWORD": server.password},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=seconds + 30,
    )  # fmt: skip
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    if done.returncode or found is None:
        raise BenchmarkFailed(f"pgbench failed: {done.stderr}")
    return float(found.group(1))
