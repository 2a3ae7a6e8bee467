"""`ims incident …` in a terminal."""

import json

import pytest

from ims.cli import main
from ims.db.engine import Database
from ims.queue import utc_now
from ims.settings import Settings
from tests.support.history import Tale
from tests.support.shop import fill


@pytest.fixture
def numbers(settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Numbers of the night's unresolved incidents, by service."""
    monkeypatch.setattr("ims.command.load_settings", lambda: settings)
    with database.begin() as session:
        fill(session, utc_now())
        odd = Tale(session, utc_now(), "shop", "colours \x1b[31m and \x1b]0;title\x07 titles", "low").incident
        return {"shop": odd.number, "mailer": odd.number - 4}


def test_the_list_is_a_table_or_json(numbers: dict[str, int], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["incident", "list", "--status", "unresolved"]) == 0
    table = capsys.readouterr().out
    assert f"INC-{numbers['mailer']}" in table
    assert "\x1b" not in table
    assert main(["incident", "list", "--service", "checkout", "--limit", "2", "--json"]) == 0
    assert [row["service"] for row in json.loads(capsys.readouterr().out)] == ["checkout"] * 2
    assert main(["incident", "list", "--words", "nothing-like-it"]) == 0
    assert capsys.readouterr().out == "No incidents.\n"


def test_acknowledging_and_resolving_stand_in_the_timeline(
    numbers: dict[str, int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "dana")
    name = f"INC-{numbers['mailer']}"
    assert main(["incident", "ack", name]) == 0
    assert main(["incident", "resolve", name, "--note", "The provider was down."]) == 0
    assert main(["incident", "ack", name]) == 1
    assert "cannot become acknowledged" in capsys.readouterr().err
    assert main(["incident", "show", name]) == 0
    shown = capsys.readouterr().out
    assert "dana acknowledged the incident" in shown
    assert "dana resolved the incident (The provider was down.)" in shown
    assert main(["incident", "show", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["timeline"][-1]["kind"] == "resolved"


def test_an_incident_that_does_not_exist_is_told(numbers: dict[str, int], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["incident", "show", "INC-99999"]) == 1
    assert "no such incident" in capsys.readouterr().err
