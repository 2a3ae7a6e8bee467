"""Incidents from before the search index and daily statistics are found and counted like later ones."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from alembic import command
from sqlalchemy import create_engine

from ims.core.db.engine import Database, app_url, owner_url
from ims.core.db.migrate import _config, migrate
from ims.core.settings import Settings
from ims.incidents.queries import Filters, list_incidents
from ims.reports.rollups import roll_up
from ims.reports.statistics import count_by_status
from ims.reports.summary import Chosen, Metric, read_summary
from tests.support.postgres import PostgresServer

NAME = "before_statistics"
NOW = datetime(2026, 3, 1, 3, 12, 7, tzinfo=UTC)


@pytest.fixture
def before(settings: Settings, postgres: PostgresServer) -> Iterator[Settings]:
    """Settings of a database as the version before left it, with one incident."""
    postgres.execute(f"CREATE DATABASE {NAME} OWNER ims_owner")
    there = settings.model_copy(
        update={
            name: f"{getattr(settings, name).rpartition('/')[0]}/{NAME}"
            for name in ("database_url", "database_owner_url")
        }
    )
    engine = create_engine(owner_url(there))
    with engine.connect() as connection:
        command.upgrade(_config(connection), "0002_accounts")
        connection.commit()
    engine.dispose()
    with psycopg.connect(postgres.superuser_conninfo(NAME)) as connection:
        own_id = uuid4()
        connection.execute(
            "INSERT INTO incident (id, number, title, description, environment, severity, status, labels, opened_at,"
            " resolved_at, updated_at, version, last_seq)"
            " VALUES (%s, 1, 'Disks are full', '', 'default', 'high', 'resolved', '{}', %s, %s, %s, 1, 1)",
            [own_id, NOW, NOW + timedelta(seconds=90), NOW],
        )
        connection.execute(
            "INSERT INTO timeline_event (incident_id, seq, at, kind, actor_kind, actor, data)"
            " VALUES (%s, 1, %s, 'note', 'person', 'bob', '{\"text\": \"Cleaned the journal.\"}')",
            [own_id, NOW],
        )
    yield there
    postgres.execute(f"DROP DATABASE {NAME}")


def test_what_was_there_before_is_found_and_counted(before: Settings) -> None:
    assert migrate(before)
    database = Database(app_url(before), pool_size=1)
    with database.begin() as session:
        assert [row.number for row in list_incidents(session, Filters(search="disk journal")).rows] == [1]
        for _ in range(2):
            summary = read_summary(session, NOW, NOW + timedelta(days=1), Chosen(), NOW)
            assert (summary.counts[Metric.RESOLVED], summary.to_resolve.mean) == (1, 90)
            assert count_by_status(session)["resolved"] == 1
            roll_up(session)
    database.dispose()
