"""Callbacks after a commit run only after a commit."""

from sqlalchemy import text

from ims.core.clock import utc_now
from ims.core.db.engine import Database
from tests.support.context import by_ims


def test_the_callback_runs_once_after_the_commit_and_not_at_a_savepoint(database: Database) -> None:
    counted: list[str] = []
    with database.begin() as session:
        with session.begin_nested():
            by_ims(session, utc_now()).after_commit(lambda: counted.append("inside"))
            session.execute(text("SELECT 1"))
        by_ims(session, utc_now()).after_commit(lambda: counted.append("behind"))
        assert counted == []
    assert counted == ["inside", "behind"]


def test_a_rolled_back_transaction_is_not_counted(database: Database) -> None:
    counted: list[str] = []
    try:
        with database.begin() as session:
            by_ims(session, utc_now()).after_commit(lambda: counted.append("never"))
            with session.begin_nested():
                session.execute(text("SELECT 1"))
            raise KeyError
    except KeyError:
        pass
    assert counted == []
