"""`ims oncall` in a terminal, against the real database."""

import json
from typing import Any

import pytest

from ims.cli.main import main
from ims.core.clock import utc_now
from ims.core.db.engine import Database
from tests.support.history import add_cast, add_policy


@pytest.fixture
def ims(terminal: Database, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run `ims oncall …`: exit code, output, errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["oncall", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    with terminal.begin() as session:
        add_cast(session, utc_now())
        add_policy(session, utc_now())
    return run


def test_who_is_on_call_is_shown_by_team(ims: Any) -> None:
    code, output, _ = ims("who", "--team", "payments")
    assert code == 0
    assert output.splitlines()[0].split() == ["SCHEDULE", "TEAM", "ON", "CALL", "UNTIL", "THEN"]
    assert output.splitlines()[1].startswith("payments  payments")
    assert "alice" in output
    assert "bob" in output
    assert [one["schedule"] for one in json.loads(ims("who", "--json")[1])] == ["discovery", "payments"]
    assert ims("who", "--team", "gone")[1] == "There are no schedules.\n"


def test_schedules_are_listed_and_their_shifts_and_gaps_shown(ims: Any) -> None:
    assert "payments   payments   Europe/Berlin  alice, bob" in ims("schedule")[1]
    shifts = ims("schedule", "discovery", "--days", "3")[1]
    assert "nobody   gap" in shifts
    assert "alice" in shifts
    assert shifts.endswith("Times of UTC.\n")
    assert ims("schedule", "gone")[0] == 3


def test_an_override_is_added_shown_and_cancelled(ims: Any) -> None:
    code, output, _ = ims("override", "payments", "charlie", "--for", "2h", "--reason", "Doctor")
    assert code == 0
    assert "Doctor" in output
    assert "override 1" in ims("schedule", "payments")[1]
    assert "charlie" in ims("who", "--team", "payments")[1]
    assert ims("cancel", "payments", "1")[:2] == (0, "Override 1 has been cancelled.\n")
    assert "override 1" not in ims("schedule", "payments")[1]
    assert ims("cancel", "payments", "1")[0] == 3


def test_two_shifts_are_swapped(ims: Any) -> None:
    code, output, _ = ims("swap", "payments", "2030-12-17T00:00Z", "2030-12-24T00:00Z", "--json")
    assert code == 0
    first, second = json.loads(output)["overrides"]
    assert (first["person"], first["swapped_with"]) == (second["swapped_with"], second["person"])
    assert ims("swap", "payments", "2030-12-17T00:00Z", "2030-12-24T00:00Z")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("override", "payments", "bob"), "Give either --to or --for"),
        (("override", "payments", "bob", "--for", "1h", "--to", "2030-01-01T00:00"), "Give either --to or --for"),
        (("override", "payments", "bob", "--from", "soon", "--for", "1h"), "--from: 'soon' is not a time"),
        (("override", "payments", "nobody", "--for", "1h"), "person: is not an account that may sign in"),
        (("override", "payments", "bob", "--for", "100d"), "must be at most 92 days"),
        (("swap", "payments", "now", "later"), "TIME: 'now' is not a time"),
    ],
)
def test_what_is_wrong_is_reported_in_a_sentence(ims: Any, arguments: tuple[str, ...], message: str) -> None:
    code, output, error = ims(*arguments)
    assert (code, output) == (2, "")
    assert message in error
