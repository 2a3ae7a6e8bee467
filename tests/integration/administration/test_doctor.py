"""`ims admin doctor` on a real database, with what is wrong made so."""

import json
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from ims.cli.main import main
from ims.core import doctor
from ims.core.db.engine import Database, owner_url
from ims.core.db.migrate import head
from ims.core.settings import Settings
from tests.support.postgres import free_port


@pytest.fixture
def here(settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(doctor, "load_settings", lambda: settings)
    return settings


def findings(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return {finding["check"]: finding for finding in json.loads(capsys.readouterr().out)}


def test_a_sound_machine_fails_nothing(here: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["admin", "doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["settings", "database", "schema", "clock", "disk", "time"]
    assert {line.split()[0] for line in lines} <= {"ok", "warn"}
    assert main(["admin", "doctor", "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines() == [line for line in lines if not line.startswith("ok")]


def test_a_schema_of_another_version_fails(here: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    _set_version(here, "0001_first_schema")
    try:
        assert main(["admin", "doctor", "--json"]) == 1
    finally:
        _set_version(here, head())
    found = findings(capsys)
    assert (found["schema"]["status"], found["database"]["status"]) == ("fail", "ok")
    assert "ims admin migrate" in found["schema"]["remedy"]


def test_what_differs_in_the_schema_is_named(here: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    _as_owner(here, "ALTER TABLE heartbeat RENAME COLUMN last_at TO was_at")
    try:
        assert main(["admin", "doctor", "--json"]) == 1
    finally:
        _as_owner(here, "ALTER TABLE heartbeat RENAME COLUMN was_at TO last_at")
    assert "column heartbeat.last_at is missing" in findings(capsys)["schema"]["message"]


def _set_version(settings: Settings, version: str) -> None:
    _as_owner(settings, "UPDATE alembic_version SET version_num = :version", version=version)


def _as_owner(settings: Settings, statement: str, **parameters: str) -> None:
    engine = create_engine(owner_url(settings), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text(statement), parameters)


def test_without_a_database_the_other_checks_go_on(
    here: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    away = here.model_copy(update={"database_url": f"postgresql://ims_app@127.0.0.1:{port}/ims"})
    monkeypatch.setattr(doctor, "load_settings", lambda: away)
    assert main(["admin", "doctor", "--json", "--quiet"]) == 1
    found = findings(capsys)
    assert {name for name, finding in found.items() if finding["status"] == "fail"} == {"database", "schema", "clock"}
    assert f"127.0.0.1:{port}" in found["database"]["remedy"]


def test_settings_that_cannot_be_read_are_a_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IMS_RECONCILIATION_SECONDS", "often")
    assert main(["admin", "doctor", "--json"]) == 1
    [(name, finding)] = findings(capsys).items()
    assert (name, finding["status"]) == ("settings", "fail")
    assert "IMS_RECONCILIATION_SECONDS" in finding["message"]
