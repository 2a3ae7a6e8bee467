"""The schema: one step, agreed with the models, and what the programs' role may not do."""

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from ims.core.db.engine import Database
from ims.core.db.migrate import check_schema, migrate
from ims.core.settings import Settings
from ims.programs.tables import metadata


def test_the_models_and_the_migrations_describe_the_same_tables(database: Database) -> None:
    with database.begin() as session:
        context = MigrationContext.configure(
            session.connection(),
            opts={
                "include_name": lambda name, kind, _: kind != "table" or not (name or "").startswith("procrastinate_")
            },
        )
        assert compare_metadata(context, metadata) == []


def test_a_second_migrate_changes_nothing(settings: Settings, database: Database) -> None:
    assert not migrate(settings)
    check_schema(database)


def test_two_migrates_at_once_do_not_race(settings: Settings) -> None:
    results: list[bool] = []
    threads = [threading.Thread(target=lambda: results.append(bool(migrate(settings)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [False] * 4


@pytest.mark.parametrize(
    "statement", ["UPDATE timeline_event SET actor = 'x'", "DELETE FROM timeline_event", "TRUNCATE timeline_event"]
)
def test_the_programs_cannot_rewrite_a_timeline(session: Session, statement: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        session.execute(text(statement))
