"""Statements without SQLAlchemy: one transaction each, whatever happens to it or to the connection."""

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import text

from ims.core.db.direct import DirectConnection
from ims.core.db.engine import Database
from ims.core.errors import DatabaseAway

TAKE = "INSERT INTO correlation (key, updated_at) VALUES (%(key)s, now()) RETURNING key"
BREAK = "SELECT 1 / %(by)s::integer"


@pytest.fixture
def direct(database: Database) -> Iterator[DirectConnection]:
    connection = database.direct()
    yield connection
    connection.close()


def keys(database: Database) -> list[str]:
    with database.begin() as session:
        return list(session.scalars(text("SELECT key FROM correlation ORDER BY key")))


def take(direct: DirectConnection, *taken: str) -> list[str]:
    with direct.begin() as execute:
        rows = [execute(TAKE, {"key": key}) for key in taken]
        return [row.fetchall()[0][0] for row in rows]


def test_a_transaction_is_there_once_it_has_ended(database: Database, direct: DirectConnection) -> None:
    assert take(direct, "a", "b") == ["a", "b"]
    assert keys(database) == ["a", "b"]


def test_results_may_be_read_in_any_order(direct: DirectConnection) -> None:
    with direct.begin() as execute:
        first, second = execute(TAKE, {"key": "a"}), execute(TAKE, {"key": "b"})
        assert (second.fetchall(), first.fetchall()) == ([("b",)], [("a",)])


@pytest.mark.parametrize("is_read", [True, False])
def test_an_error_rolls_the_whole_transaction_back(database: Database, direct: DirectConnection, is_read: bool) -> None:
    """Also one that shows only at the commit; statements that were new in it, and the connection, are used again."""
    take(direct, "before")
    backend = backend_of(direct)

    def breaks() -> None:
        with direct.begin() as execute:
            execute(TAKE, {"key": "a"})
            broken = execute(BREAK, {"by": 0})
            execute("SELECT %(never)s::text", {"never": "prepared"})
            if is_read:
                broken.fetchall()

    for _ in range(2):
        with pytest.raises(psycopg.errors.DivisionByZero):
            breaks()
    assert keys(database) == ["before"]
    assert take(direct, "b") == ["b"]
    with direct.begin() as execute:
        assert execute("SELECT %(never)s::text", {"never": "prepared"}).fetchall() == [("prepared",)]
    assert (keys(database), backend_of(direct)) == (["b", "before"], backend)


def test_an_error_of_the_caller_rolls_the_transaction_back(database: Database, direct: DirectConnection) -> None:
    def fails() -> None:
        with direct.begin() as execute:
            execute(TAKE, {"key": "a"})
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert (keys(database), take(direct, "b")) == ([], ["b"])


def test_a_connection_that_was_ended_while_idle_is_replaced_unnoticed(
    database: Database, direct: DirectConnection
) -> None:
    for key in ("a", "b"):
        take(direct, key)
        end_direct_connections(database)
    assert keys(database) == ["a", "b"]


def test_a_connection_that_is_ended_inside_leaves_nothing(database: Database, direct: DirectConnection) -> None:
    def is_ended() -> None:
        with direct.begin() as execute:
            execute(TAKE, {"key": "a"}).fetchall()
            end_direct_connections(database)
            execute(TAKE, {"key": "b"})

    with pytest.raises(DatabaseAway):
        is_ended()
    assert (keys(database), take(direct, "c")) == ([], ["c"])


def test_megabytes_travel_both_ways_at_once(direct: DirectConnection) -> None:
    long = "x" * 4_000_000
    with direct.begin() as execute:
        rows = [execute("SELECT %(text)s::text", {"text": long}) for _ in range(8)]
        assert all(row.fetchall() == [(long,)] for row in rows)


def backend_of(direct: DirectConnection) -> int:
    with direct.begin() as execute:
        return int(execute("SELECT pg_backend_pid()", {}).fetchall()[0][0])


def end_direct_connections(database: Database) -> None:
    """As a restart of PostgreSQL does; waits until they are gone."""
    with database.begin() as session:
        others = "FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()"
        session.execute(text(f"SELECT pg_terminate_backend(pid, 5000) {others}"))
