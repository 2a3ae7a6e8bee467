"""`ims source` and `ims token` as people and scripts use them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from ims.accounts.models import ApiToken
from ims.accounts.passwords import hash_token
from ims.alerts.models import Alert
from ims.cli.main import main
from ims.core.db.engine import Database
from ims.sources.models import Source
from tests.support.notifications import NOW, add_source

Ims = Callable[..., str]


@pytest.fixture
def ims(terminal: Database, capsys: pytest.CaptureFixture[str]) -> Ims:
    """Run a command and give what it printed; a failure is `failed: `, the exit code and the error."""

    def run(*arguments: str) -> str:
        code = main(arguments)
        printed = capsys.readouterr()
        return printed.out.strip() if code == 0 else f"failed: {code}: {printed.err.strip()}"

    return run


def test_the_same_command_twice_changes_nothing(ims: Ims) -> None:
    add = ("source", "add", "shop", "--alertmanager-url", "http://am.example:9093", "--network", "10.0.0.0/8")
    assert [ims(*add), ims(*add)] == ["changed", "unchanged"]
    change = ("source", "set", "shop", "--rate", "100", "--stale-after", "10m")
    assert [ims(*change), ims(*change)] == ["changed", "unchanged"]
    assert [ims("source", "remove", "shop"), ims("source", "remove", "shop")] == ["changed", "unchanged"]


def test_a_source_that_is_described_differently_is_not_changed_by_adding_it(ims: Ims) -> None:
    ims("source", "add", "shop")
    assert ims("source", "add", "shop", "--rate", "5").startswith("failed: 4: ")


def test_setting_changes_only_what_is_named_and_none_takes_it_away(ims: Ims) -> None:
    ims("source", "add", "shop", "--rate", "100", "--network", "10.0.0.0/8", "--network", "192.0.2.7")
    ims("source", "set", "shop", "--rate", "none", "--disable")
    shown = json.loads(ims("source", "show", "shop", "--json"))
    assert (shown["rate_limit"], shown["networks"], shown["state"]) == (
        None,
        ["10.0.0.0/8", "192.0.2.7/32"],
        "disabled",
    )
    ims("source", "set", "shop", "--network", "any", "--enable")
    shown = json.loads(ims("source", "show", "shop", "--json"))
    assert (shown["networks"], shown["state"]) == ([], "ok")


def test_a_body_is_tried_and_nothing_of_it_is_taken(ims: Ims, terminal: Database, tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"event_action": "trigger", "dedup_key": "d", "payload": {"summary": "Full", "x": 1}}))
    refused = ims("source", "try", str(body))
    assert refused.startswith("failed: 1: ")
    (tried,) = json.loads(ims("source", "try", str(body), "--format", "pagerduty", "--json"))["alerts"]
    assert (tried["result"], tried["title"], tried["fingerprint"]) == ("firing", "Full", "d")
    assert ims("source", "add", "pd", "--format", "pagerduty") == "changed"
    assert json.loads(ims("source", "show", "pd", "--json"))["kind"] == "generic"
    assert "firing" in ims("source", "try", str(body), "--source", "pd")
    assert ims("source", "add", "other", "--format", "no-such").startswith("failed: ")
    assert ims("source", "try", str(tmp_path / "nothing")).startswith("failed: 2: ")
    with terminal.begin() as session:
        assert session.scalars(select(Alert.id)).all() == []


def test_the_list_is_a_table_and_json(ims: Ims) -> None:
    assert ims("source", "list") == "No sources."
    ims("source", "add", "shop", "--kind", "generic", "--rate", "2.5")
    header, row = ims("source", "list").splitlines()
    assert header.split()[:3] == ["SOURCE", "KIND", "STATE"]
    assert row.split() == ["shop", "generic", "ok", "2.5/s"]
    assert [source["name"] for source in json.loads(ims("source", "list", "--json"))] == ["shop"]


@pytest.mark.parametrize("option", [("--rate", "fast"), ("--network", "here"), ("--stale-after", "soon")])
def test_nonsense_is_refused_by_its_name(ims: Ims, option: tuple[str, str]) -> None:
    failed = ims("source", "add", "shop", *option)
    assert failed.startswith("failed: 2: ")
    assert option[0].strip("-").replace("-", "_").removesuffix("s") in failed.replace("-", "_")


def test_a_source_with_alerts_stays(ims: Ims, database: Database) -> None:
    with database.begin() as session:
        add_source(session, "shop")
        session.connection().exec_driver_sql(
            "INSERT INTO dead_letter (source, reason, body, details, received_at)"
            " VALUES ('shop', 'wrong_status', '{}', '{}', now())"
        )
    assert ims("source", "remove", "shop").startswith("failed: 4: ")


def test_a_token_is_printed_alone_so_that_a_script_can_take_it(ims: Ims, database: Database) -> None:
    ims("source", "add", "shop")
    text = ims("token", "create", "--source", "shop", "--label", "first")
    assert len(text.split()) == 1
    with database.begin() as session:
        assert hash_token(text) in session.scalars(select(ApiToken.hash)).all()
    listed = ims("token", "list")
    assert text not in listed
    assert "first" in listed


def test_tokens_are_rotated_and_revoked_by_their_names(ims: Ims) -> None:
    ims("source", "add", "shop")
    first = json.loads(ims("token", "create", "shop", "--json"))
    second = json.loads(ims("token", "rotate", first["id"], "--overlap", "2h", "--json"))
    assert second["token"] != first["token"]
    states = {one["token"]: one["state"] for one in json.loads(ims("token", "list", "--source", "shop", "--json"))}
    assert states == {first["id"]: "ending", second["id"]: "valid"}
    revoke = ("token", "revoke", second["id"])
    assert [ims(*revoke), ims(*revoke)] == ["changed", "unchanged"]
    assert ims("token", "revoke", "the second one").startswith("failed: ")


def test_tokens_go_with_their_source(ims: Ims, database: Database) -> None:
    ims("source", "add", "shop")
    ims("token", "create", "shop")
    ims("source", "remove", "shop")
    with database.begin() as session:
        assert session.scalars(select(ApiToken).where(ApiToken.source == "shop")).all() == []


def test_our_own_source_is_left_alone(ims: Ims, database: Database) -> None:
    with database.begin() as session:
        session.add(Source(name="ims", kind="internal", created_at=NOW))
    for command in (("set", "ims", "--disable"), ("remove", "ims"), ("add", "ims")):
        assert ims("source", *command).startswith("failed: ")
