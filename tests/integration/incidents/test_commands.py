"""`ims incident …` in a terminal."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ims.cli.main import main
from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.incidents import search
from tests.support.history import Tale
from tests.support.shop import fill


@pytest.fixture
def numbers(terminal: Database) -> dict[str, int]:
    """Numbers of the night's unresolved incidents, by service."""
    with terminal.begin() as session:
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
    assert main(["incident", "list", "--search", "nothing-like-it"]) == 0
    assert capsys.readouterr().out == "No incidents.\n"


def test_the_list_goes_on_where_a_search_for_words_stopped(
    numbers: dict[str, int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["incident", "list", "--search", "down", "--limit", "25", "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert len({row["opened_at"][:10] for row in whole}) > 1
    monkeypatch.setattr(search, "affordable_days", lambda *_given, **_more: 1)
    monkeypatch.setattr(search, "WALK_ROWS", 1)
    monkeypatch.setattr(search, "WALK_ON_ROWS", 1)
    assert main(["incident", "list", "--search", "down", "--limit", "25", "--json"]) == 0
    assert [row["incident"] for row in json.loads(capsys.readouterr().out)] == [row["incident"] for row in whole]


def test_acknowledging_and_resolving_stand_in_the_timeline(
    numbers: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"INC-{numbers['mailer']}"
    assert main(["incident", "ack", name]) == 0
    assert main(["incident", "resolve", name, "--note", "The provider was down."]) == 0
    assert main(["incident", "ack", name]) == 4
    assert "cannot become acknowledged" in capsys.readouterr().err
    assert main(["incident", "show", name]) == 0
    shown = capsys.readouterr().out
    assert "operator (T-1) acknowledged the incident" in shown
    assert "operator (T-1) resolved the incident (The provider was down.)" in shown
    assert main(["incident", "show", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["timeline"][-1]["kind"] == "resolved"


def test_an_incident_that_does_not_exist_is_reported(
    numbers: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["incident", "show", "INC-99999"]) == 3
    assert "no such incident" in capsys.readouterr().err


def test_an_incident_is_opened_changed_and_measured(
    numbers: dict[str, int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def output_of(*words: str) -> Any:
        assert main(["incident", *words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    opened = output_of("open", "Backups are late", "--severity", "low", "--service", "checkout")
    assert (opened["status"], opened["team"], opened["environment"]) == ("open", "payments", "production")
    name = opened["incident"]
    monkeypatch.setattr("sys.stdin", io.StringIO("The disk of the *backup host* is full.\n"))
    output_of("note", name, "-")
    assert output_of("set", name, "--severity", "high", "--assignee", "bob")["assignee"] == "bob"
    assert [output_of(step, name)["status"] for step in ("ack", "start")] == ["acknowledged", "in_progress"]
    whole = output_of("show", name)
    assert [note["text"] for note in whole["notes"]] == ["The disk of the *backup host* is full."]
    assert output_of("metrics", name)["time_to_acknowledge"] >= 0
    assert output_of("summary", "--severity", "high")["counts"]["acknowledged"] >= 1
    assert [one["incident"] for one in output_of("list", "--search", "backup host", "--assignee", "bob")] == [name]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["incident", "open", " "], 2, "title"),
        (["incident", "open", "x", "--assignee", "mallory"], 2, "assignee"),
        (["incident", "set", "INC-1"], 2, "Give at least one field to change"),
        (["incident", "note", "INC-1", ""], 2, "TEXT"),
        (["incident", "summary", "--since", "2030-01-01"], 2, "since"),
        (["alert", "show", "99999"], 3, "no alert"),
        (["service", "show", "nowhere"], 3, "no service"),
    ],
)
def test_exit_codes_tell_scripts_what_happened(
    numbers: dict[str, int], capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    assert main(words) == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("words", [["alert", "list"], ["service", "list"], ["alert", "list", "--firing"]])
def test_tables_for_people_and_json_for_programs(
    numbers: dict[str, int], capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(words) == 0
    table = capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == len(table.splitlines()) - 1 > 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete_commands(shell: str) -> None:
    # `ims --show-completion` asks which shell its parent is, and a test's is none.
    done = subprocess.run(
        [Path(sys.executable).with_name("ims")], env={**os.environ, "_IMS_COMPLETE": f"source_{shell}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert f"_IMS_COMPLETE=complete_{shell}" in done.stdout, (done.stdout, done.stderr)


def test_completion_knows_groups_commands_and_options() -> None:
    asked = {
        "ims inc": "incident",
        "ims incident res": "resolve",
        "ims incident list --stat": "--status",
    }
    for typed, wanted in asked.items():
        words = typed.split()
        asking = {"_IMS_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1)}
        done = subprocess.run(
            [Path(sys.executable).with_name("ims")], env={**os.environ, **asking}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert wanted in done.stdout, (typed, done.stdout, done.stderr)
