"""`ims user`, `ims team` and `ims token` as people and scripts use them."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from ims.accounts.passwords import hash_token, is_password
from ims.accounts.queries import account_by_name, principal_of_token
from ims.audit.models import AuditEntry
from ims.cli.main import main
from ims.core.db.engine import Database
from tests.support.notifications import NOW
from tests.support.terminal import OPERATOR

Ims = Callable[..., str]
PASSWORD = "correct horse battery"


@pytest.fixture
def ims(terminal: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ims:
    """Run a command with a line on standard input; gives what it printed, or `failed: ` and its error."""

    def run(*arguments: str, line: str = "") -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(line))
        code = main(arguments)
        printed = capsys.readouterr()
        return printed.out.strip() if code == 0 else f"failed: {printed.err.strip()}"

    return run


def test_a_password_comes_from_standard_input_or_a_file(ims: Ims, database: Database, tmp_path: Path) -> None:
    ims("user", "add", "alice", "--role", "admin", line=f"{PASSWORD}\n")
    secret = tmp_path / "password"
    secret.write_text("another long password\nnot this line\n")
    assert ims("user", "passwd", "alice", "--password-file", str(secret)) == "changed"
    with database.begin() as session:
        found = account_by_name(session, "alice")
    assert found is not None
    assert is_password(found[1] or "", "another long password")
    assert "password-file: cannot be read" in ims("user", "passwd", "alice", "--password-file", "/does/not/exist")
    assert "at least 12" in ims("user", "passwd", "alice", line="short\n")


def test_an_account_s_life(ims: Ims, database: Database) -> None:
    ims("user", "add", "alice", "--role", "admin", "--no-password")
    assert ims("team", "add", "payments") == "changed"
    ims("user", "add", "bob", "--team", "payments", "--email", "bob@example.org", line=PASSWORD)
    assert [ims("user", "set", "bob", "--role", "viewer") for _ in range(2)] == ["changed", "unchanged"]
    assert [ims("user", "disable", "bob") for _ in range(2)] == ["changed", "unchanged"]
    shown = json.loads(ims("user", "show", "bob", "--json"))
    assert (shown["role"], shown["state"], shown["teams"]) == ("viewer", "disabled", ["payments"])
    assert ims("user", "enable", "bob") == "changed"
    assert ims("admin", "user", "link", "bob", "--subject", "0815", "--issuer", "https://id.example") == "changed"
    ways = {one["name"]: one["signs_in_by"] for one in json.loads(ims("user", "list", "--json"))}
    assert ways == {"alice": "nothing", "bob": "oidc", OPERATOR: "nothing"}
    ims("user", "disable", "alice")
    assert "last administrator" in ims("user", "disable", OPERATOR)
    assert "There is no account" in ims("user", "disable", "charlie")
    assert ims("user", "list").split("\n")[0].split()[:3] == ["USER", "ROLE", "STATE"]
    with database.begin() as session:
        entries = session.scalars(select(AuditEntry)).all()
    # Changes over the API have an address and a token; `ims admin` acts as a person on this machine.
    assert {(entry.address, entry.actor_kind) for entry in entries} == {("127.0.0.1", "token"), (None, "person")}


def test_teams_are_joined_and_left(ims: Ims) -> None:
    ims("user", "add", "bob", "--no-password")
    ims("user", "add", "charlie", "--no-password")
    ims("team", "add", "payments")
    assert [ims("team", "join", "payments", "bob", "charlie") for _ in range(2)] == ["changed", "unchanged"]
    assert ims("team", "leave", "payments", "charlie") == "changed"
    assert json.loads(ims("team", "list", "--json"))[0]["members"] == ["bob"]
    assert "There is no team" in ims("team", "join", "search", "bob")
    assert [ims("team", "remove", "payments") for _ in range(2)] == ["changed", "unchanged"]
    assert ims("team", "list") == "No teams."


def test_a_person_s_token_is_made_listed_and_revoked(ims: Ims, database: Database) -> None:
    ims("user", "add", "bob", "--no-password")
    text = ims("token", "create", "--user", "bob", "--scope", "write", "--label", "cron", "--expires", "90d")
    with database.begin() as session:
        principal = principal_of_token(session, hash_token(text), NOW)
    assert principal is not None
    assert (principal.name, principal.scope) == ("bob", "write")
    (listed,) = json.loads(ims("token", "list", "--user", "bob", "--json"))
    assert (listed["user"], listed["scopes"], listed["state"]) == ("bob", ["write"], "ending")
    assert "bob" in ims("token", "list")
    assert "at most write" in ims("token", "create", "--user", "bob", "--scope", "admin")
    assert "scope" in ims("token", "create", "shop", "--scope", "read")
    assert ims("token", "revoke", listed["token"]) == "changed"
