"""`ims decision` as a person types it."""

import json

import pytest

from ims.cli.main import main
from ims.core.db.engine import Database
from ims.healing.decide import decide
from tests.integration.healing.conftest import MakeSite
from tests.support.healing import fire, now

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def decided(terminal: Database, make_site: MakeSite) -> None:
    """An alert that is healed and one that no rule matches; the commands ask a server of it."""
    make_site()
    with terminal.begin() as session:
        episodes = [fire(session, "shop", alertname=name, decide=False)[0] for name in ("ServiceDown", "DiskFull")]
        decide(session, episodes, now())


def test_list_is_a_table_that_can_be_narrowed(capsys: Captured) -> None:
    assert main(["decision", "list"]) == 0
    head, denied, allowed = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["DECISION", "INCIDENT", "RULE"]
    assert ("no_rule" in denied, "allowed" in allowed, "R-" in allowed) == (True, True, True)
    assert main(["decision", "list", "--outcome", "denied", "--json"]) == 0
    (only,) = json.loads(capsys.readouterr().out)
    assert main(["decision", "list", "--incident", only["incident"], "--reason", "allowed"]) == 0
    assert capsys.readouterr().out == "No decisions.\n"


def test_show_tells_what_each_guard_said(capsys: Captured) -> None:
    main(["decision", "list", "--reason", "no_rule", "--json"])
    (one,) = json.loads(capsys.readouterr().out)
    for name in (one["decision"], one["decision"].lower(), one["decision"].removeprefix("D-")):
        assert main(["decision", "show", name]) == 0
        output = capsys.readouterr().out
        assert "No healing rule matches the alert." in output
        assert ["cooldown", "skip"] in [line.split() for line in output.splitlines()]


@pytest.mark.parametrize("name", ["D-999999", "nonsense", "9" * 40])
def test_a_decision_that_is_not_there_is_one_sentence(capsys: Captured, name: str) -> None:
    assert main(["decision", "show", name]) == 3
    assert "There is no" in capsys.readouterr().err
