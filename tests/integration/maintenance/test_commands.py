"""`ims maintenance` in a terminal, against the real database."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ims.cli.main import main
from ims.core.db.engine import Database
from tests.integration.maintenance.conftest import Site, policy_of, window


@pytest.fixture
def ims(terminal: Database, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run `ims maintenance …`: exit code, output, errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["maintenance", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    with terminal.begin() as session:
        Site(session, policy_of()).activate(policy_of())
    return run


def activate(database: Database, *windows: dict[str, Any]) -> None:
    with database.begin() as session:
        Site(session, policy_of()).activate(policy_of(*windows))


def test_a_window_is_added_listed_ended_and_removed(ims: Any) -> None:
    code, output, _ = ims("add", "deploy", "--service", "checkout", "--for", "2h", "--reason", "Release 7")
    assert code == 0
    assert "deploy  open" in output
    code, output, _ = ims("list", "--json")
    (listed,) = json.loads(output)
    assert (listed["name"], listed["state"], listed["origin"], listed["services"]) == (
        "deploy", "open", "command", ["checkout"],
    )  # fmt: skip
    begins, ends = datetime.fromisoformat(listed["begins"]), datetime.fromisoformat(listed["ends"])
    assert ends - begins == timedelta(hours=2)
    assert abs(begins - datetime.now(UTC)) < timedelta(minutes=1)
    assert ims("end", "deploy")[:2] == (0, "deploy has ended.\n")
    assert ims("list")[1] == "No maintenance windows.\n"
    assert "deploy  over" in ims("list", "--all")[1]
    assert ims("remove", "deploy")[0] == 0
    assert ims("list", "--all")[1] == "No maintenance windows.\n"


def test_a_recurring_window_is_shown_on_its_own_clocks(ims: Any) -> None:
    code, output, _ = ims(
        "add", "weekly", "--group", "racks", "--match", "severity=~warn.*", "--match", "team=a", "--from",
        "2026-03-01 02:00", "--for", "2h", "--timezone", "Europe/Berlin", "--rrule", "FREQ=WEEKLY;BYDAY=SU",
    )  # fmt: skip
    assert code == 0
    assert "FREQ=WEEKLY;BYDAY=SU" in output
    assert "group racks, severity=~warn.*, team=a" in output
    assert "02:00" in output
    assert "04:00" in output


def test_windows_of_the_inventory_are_listed_and_can_be_ended_but_not_removed(ims: Any, database: Database) -> None:
    now = datetime.now(UTC)
    times = {"from": (now - timedelta(hours=1)).isoformat(), "to": (now + timedelta(hours=1)).isoformat()}
    activate(database, window(**times))
    assert json.loads(ims("list", "--json")[1])[0]["origin"] == "inventory"
    code, _, error = ims("remove", "patching")
    assert code == 4
    assert "is in the inventory" in error
    assert ims("end", "patching")[0] == 0
    (listed,) = json.loads(ims("list", "--all", "--json")[1])
    assert listed["state"] == "over"
    assert listed["actor"].startswith("operator (T-")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add", "a", "--service", "wob", "--for", "1h"), "There is no service wob."),
        (("add", "a", "--group", "wob", "--for", "1h"), "There is no group wob."),
        (("add", "a", "--for", "1h"), "covers nothing"),
        (("add", "a b", "--service", "shop", "--for", "1h"), "name: must match pattern"),
        (("add", "a", "--service", "shop", "--for", "soon"), "must be a duration"),
        (("add", "a", "--service", "shop", "--from", "soon", "--to", "later"), "is not a time"),
        (("add", "a", "--service", "shop", "--from", "soon", "--for", "1h"), "is not a time"),
        (("add", "a", "--service", "shop", "--for", "1h", "--rrule", "FREQ=DAILY"), "--timezone: is required"),
        (("add", "a", "--service", "shop", "--for", "1h", "--timezone", "Mars/Base"), "not a time zone"),
        (
            ("add", "a", "--service", "shop", "--for", "1h", "--timezone", "UTC", "--rrule", "FREQ=SECONDLY"),
            "FREQ must be one of",
        ),
        (("add", "a", "--match", "severity", "--for", "1h"), "LABEL=VALUE"),
        (("end", "nothing"), "There is no maintenance window nothing."),
        (("remove", "nothing"), "There is no maintenance window nothing."),
    ],
)
def test_what_is_wrong_is_reported_in_a_sentence(ims: Any, arguments: tuple[str, ...], message: str) -> None:
    code, output, error = ims(*arguments)
    assert (code, output) == (3 if message.startswith("There is no maintenance window") else 2, "")
    assert message in error


def test_a_name_is_used_once(ims: Any, database: Database) -> None:
    add = ("add", "patching", "--service", "shop", "--for", "1h")
    assert ims(*add)[0] == 0
    assert "already" in ims(*add)[2]
    assert ims("remove", "patching")[0] == 0
    activate(database, window())
    assert "already" in ims(*add)[2]


def test_what_is_not_open_cannot_be_ended(ims: Any) -> None:
    ims("add", "later", "--service", "shop", "--from", "2199-01-01 00:00", "--for", "1h")
    assert "is not open now" in ims("end", "later")[2]
