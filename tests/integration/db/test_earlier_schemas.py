"""Installations of earlier commits are brought to this version's schema, and everything can be read afterwards."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from psycopg import connect
from sqlalchemy import create_engine, text

from ims.core.db.engine import Database, app_url, owner_url
from ims.core.db.migrate import SchemaDiffers, check_schema, migrate
from ims.core.db.schema import FUNCTIONS, TRIGGERS, schema_differences
from ims.core.settings import Settings
from ims.incidents.queries import Filters, list_incidents
from ims.programs.tables import metadata
from ims.programs.web import create_app
from tests.integration.web.conftest import token
from tests.support.earlier import PASSWORD, installation_of, settings_for
from tests.support.installation import is_in_history
from tests.support.postgres import PostgresServer
from webhook.app import DATABASE
from webhook.app import create_app as create_webhook

AT = datetime(2026, 3, 1, 3, 12, 7, tzinfo=UTC)

EARLIER = {
    "c300236": "the first 0001, which later migrations failed on",
    "6dee742": "0001 with the sweep",
    "262fc6c": "0001 without heartbeats, windows and flapping",
    "64aaad9": "0001 without heartbeats",
    "4298d63": "0002_accounts without the lifetime of tokens",
    "4677c2f": "0002_scale, before it was 0003",
    "9cfb9a1": "0003 without daily figures",
    "137c8eb": "0003 with other daily figures",
    "6b993c1": "0006 without 0005 below it",
    "50530a8": "the build of 24 November",
    "eef3a4f": "0008 without 0007 below it",
    "2cee843": "0009",
}
"""Every text that a migration has had and that makes another schema, by a commit that had it."""

CATALOGUE = """
    SELECT 'column', table_name, column_name, udt_name || is_nullable || coalesce(column_default, '')
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'procrastinate%'
    UNION ALL SELECT 'index', tablename, indexname, indexdef
    FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE 'procrastinate%'
    UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
    UNION ALL SELECT 'function', '', oid::regprocedure::text, pg_get_functiondef(oid) || coalesce(proacl::text, '')
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname NOT LIKE 'procrastinate%'
    UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid)
    FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'grants', '', relname, coalesce(relacl::text, '')
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S')
"""


@pytest.fixture(params=EARLIER)
def earlier(
    request: pytest.FixtureRequest, settings: Settings, postgres: PostgresServer, tmp_path: Path
) -> Iterator[Settings]:
    """Settings of an installation of an earlier commit, with data."""
    if not is_in_history(request.param):
        pytest.skip("this clone is shallow: the earlier version is not in its history")
    with installation_of(request.param, settings, postgres, tmp_path, AT) as there:
        yield there


def catalogue(settings: Settings) -> set[tuple[Any, ...]]:
    engine = create_engine(owner_url(settings))
    with engine.connect() as connection:
        rows = {tuple(row) for row in connection.execute(text(CATALOGUE))}
    engine.dispose()
    return rows


def test_an_earlier_installation_gets_this_schema_and_everything_can_be_read(
    earlier: Settings, settings: Settings
) -> None:
    assert migrate(earlier)
    assert catalogue(earlier) == catalogue(settings)
    database = Database(app_url(earlier), pool_size=5)
    try:
        check_schema(database)
        with database.begin() as session:
            # The first schemas had no teams.
            session.execute(text("INSERT INTO team VALUES ('payments', now()) ON CONFLICT DO NOTHING"))
        app = create_app(earlier, database)
        client = signed_in(app)
        answers = {path: client.get(path).status_code for path in paths(app)}
        assert {path: status for path, status in answers.items() if status != 200} == {}
        assert len(answers) > 40
        with database.begin() as session:
            assert [row.number for row in list_incidents(session, Filters(search="shop journal")).rows] == [1]
    finally:
        database.dispose()


def signed_in(app: Flask) -> FlaskClient:
    client = app.test_client()
    answer = client.post("/sign-in", data={"name": "alice", "password": PASSWORD, **token(client, "/sign-in")})
    assert answer.status_code == 302
    return client


NOT_READ = {"static", "oidc.begin", "oidc.finish", "accounts.sign_in_page", "api.maintenance_one", "health.metrics"}
"""What needs an identity provider, a window, or nobody signed in; and the metrics, which are not of a person."""
ABOUT_SCHEDULES = ("oncall.", "schedules_")
"""Earlier policies had no schedules; the lists are read."""
ARGUMENTS = {
    ("api.decisions_one", "reference"): "D-1",
    ("documentation.group", "name"): "incidents",
    ("people.one", "name"): "bob",
    ("api.users_one_user", "name"): "bob",
    ("sources.one", "name"): "alertmanager",
    ("api.sources_one", "name"): "alertmanager",
    ("api.services_one", "name"): "shop",
    ("api.teams_one_team", "team"): "payments",
}


def paths(app: Flask) -> Iterator[str]:
    """The address of every page and of every GET of the API, about what the installation has."""
    adapter = app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or rule.endpoint in NOT_READ:
            continue
        if rule.arguments and any(part in rule.endpoint for part in ABOUT_SCHEDULES):
            continue
        number = "R-1" if "run" in rule.endpoint else "INC-1"
        known = {"reference": number, "seq": 9, "alert_id": 1, "dead_letter_id": 1}
        given = {name: ARGUMENTS.get((rule.endpoint, name), known.get(name)) for name in rule.arguments}
        yield adapter.build(rule.endpoint, given)


@pytest.fixture
def damaged(settings: Settings, postgres: PostgresServer) -> Iterator[Settings]:
    """A database of this version."""
    postgres.execute("CREATE DATABASE damaged OWNER ims_owner")
    there = settings_for(settings, "damaged")
    migrate(there)
    yield there
    postgres.execute("DROP DATABASE damaged WITH (FORCE)")


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("ALTER TABLE heartbeat DROP COLUMN last_at", "column heartbeat.last_at is missing"),
        ("DROP TABLE approval", "table approval is missing"),
        ("DROP INDEX uq_run_active_target", "index uq_run_active_target is missing"),
        ("ALTER TABLE run ALTER COLUMN attempt TYPE text", "column run.attempt is text instead of integer"),
        ("ALTER TABLE run ADD COLUMN shard integer NOT NULL", "column run.shard is required, but unknown to IMS"),
        ("DROP TRIGGER note_words ON timeline_event", "trigger note_words is missing"),
        ("DROP FUNCTION remove_old_incidents", "function remove_old_incidents is missing"),
        ("ALTER TABLE incident ALTER COLUMN team SET NOT NULL", "column incident.team is required"),
    ],
)
def test_every_kind_of_difference_is_named(settings: Settings, damage: str, named: str) -> None:
    engine = create_engine(owner_url(settings))
    with engine.connect() as connection:
        assert schema_differences(connection, metadata) == []
        connection.execute(text(damage))
        assert schema_differences(connection, metadata) == [named]
        connection.rollback()
    engine.dispose()


def test_more_than_the_models_know_is_no_difference(settings: Settings) -> None:
    """An administrator's index or a column of a newer version does not keep programs from starting."""
    engine = create_engine(owner_url(settings))
    with engine.connect() as connection:
        connection.execute(text("CREATE INDEX own ON incident (title)"))
        connection.execute(text("CREATE TABLE own_notes (note text)"))
        connection.execute(text("ALTER TABLE incident ADD COLUMN own text, ADD COLUMN rank integer NOT NULL DEFAULT 0"))
        assert schema_differences(connection, metadata) == []
        connection.rollback()
    engine.dispose()


def test_readiness_and_migrate_say_so_and_a_repaired_schema_is_ready_without_a_restart(
    damaged: Settings, postgres: PostgresServer
) -> None:
    database = Database(app_url(damaged), pool_size=2)
    webhook = create_webhook(damaged)
    try:
        programs = [create_app(damaged, database).test_client(), webhook.test_client()]
        postgres.execute("ALTER TABLE source RENAME TO hidden", database="damaged")
        for program in programs:
            answer = program.get("/health/ready")
            assert answer.status_code == 503
            assert "schema differs: table source is missing" in answer.json["database"]  # type: ignore[index]
        with pytest.raises(SchemaDiffers, match="table source is missing"):
            migrate(damaged)
        postgres.execute("ALTER TABLE hidden RENAME TO source", database="damaged")
        assert [program.get("/health/ready").status_code for program in programs] == [200, 200]
    finally:
        webhook.extensions[DATABASE].dispose()
        database.dispose()


def test_functions_and_triggers_of_the_migrations_are_known(settings: Settings, postgres: PostgresServer) -> None:
    with connect(postgres.superuser_conninfo("ims")) as connection:
        functions = connection.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
            " AND proname NOT LIKE 'procrastinate%'"
        ).fetchall()
        triggers = connection.execute(
            "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgname NOT LIKE 'procrastinate%'"
        ).fetchall()
    assert {name for (name,) in functions} == FUNCTIONS
    assert {name for (name,) in triggers} == TRIGGERS
