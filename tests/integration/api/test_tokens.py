"""Tokens by the REST API: one's own, and everybody's for administrators."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from ims.audit.models import AuditEntry
from ims.core.db.engine import Database
from ims.core.principal import Scope
from tests.integration.api.conftest import Ask, errors_of


def _me(app: Flask, secret: str) -> Any:
    return app.test_client().get("/api/v1/me", headers={"Authorization": f"Bearer {secret}"})


def test_a_caller_sees_their_rights(ask: Ask) -> None:
    result = ask("bob", "GET", "/me", scope=Scope.READ).get_json()
    token = result.pop("token")
    assert token.startswith("T-")
    assert result == {"name": "bob", "role": "responder", "teams": ["payments"], "scope": "read"}


def test_a_token_of_one_s_own_works_until_it_is_ended(ask: Ask, app: Flask, database: Database) -> None:
    made = ask("bob", "POST", "/me/tokens", json={"scope": "write", "label": "deploys", "seconds": 60}).get_json()
    assert _me(app, made["secret"]).get_json()["token"] == made["token"]
    shown = ask("bob", "GET", "/me/tokens").get_json()["items"][0]
    assert (shown["token"], shown["label"], shown["state"], shown["user"]) == (
        made["token"], "deploys", "ending", "bob",
    )  # fmt: skip
    assert "secret" not in shown
    new = ask("bob", "POST", f"/me/tokens/{made['token']}/rotate", json={"overlap": 0}).get_json()
    assert (_me(app, made["secret"]).status_code, _me(app, new["secret"]).status_code) == (401, 200)
    assert ask("bob", "POST", f"/me/tokens/{made['token']}/rotate", json={}).status_code == 409
    assert ask("bob", "DELETE", f"/me/tokens/{new['token']}").status_code == 204
    assert _me(app, new["secret"]).status_code == 401
    with database.begin() as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
        assert [entry.action for entry in entries] == ["token.created", "token.rotated", "token.revoked"]
        assert not any(made["secret"] in str(entry.after) for entry in entries)


def test_a_token_cannot_get_itself_a_wider_one(ask: Ask) -> None:
    wide = ask("root", "POST", "/me/tokens", json={"scope": "admin"}).get_json()["token"]
    for scope in ("write", "read"):
        assert ask("root", "POST", "/me/tokens", json={"scope": "admin"}, scope=Scope(scope)).status_code == 403
    assert ask("root", "POST", f"/me/tokens/{wide}/rotate", json={}, scope=Scope.WRITE).status_code == 403
    assert ask("root", "POST", "/me/tokens", json={"scope": "write"}, scope=Scope.WRITE).status_code == 201


def test_a_token_is_never_wider_than_the_role(ask: Ask) -> None:
    assert list(errors_of(ask("bob", "POST", "/me/tokens", json={"scope": "admin"}), 422)) == ["scope"]
    assert ask("victor", "POST", "/me/tokens", json={"scope": "read"}).status_code == 201


def test_tokens_of_other_users_are_not_found(ask: Ask) -> None:
    of_bob = ask("bob", "POST", "/me/tokens", json={}).get_json()["token"]
    assert ask("alice", "DELETE", f"/me/tokens/{of_bob}").status_code == 404
    assert ask("alice", "POST", f"/me/tokens/{of_bob}/rotate", json={}).status_code == 404
    assert of_bob not in [one["token"] for one in ask("alice", "GET", "/me/tokens").get_json()["items"]]
    assert ask("root", "DELETE", f"/tokens/{of_bob}").status_code == 204


def test_administrators_make_tokens_of_sources_and_of_accounts(ask: Ask, app: Flask) -> None:
    of_source = ask("root", "POST", "/tokens", json={"source": "alertmanager", "label": "second"}).get_json()
    of_user = ask("root", "POST", "/tokens", json={"user": "victor"}).get_json()
    assert _me(app, of_source["secret"]).status_code == 401
    assert _me(app, of_user["secret"]).get_json()["scope"] == "read"
    (listed,) = ask("root", "GET", "/tokens?source=alertmanager").get_json()["items"]
    assert (listed["token"], listed["scopes"], listed["user"]) == (of_source["token"], ["alerts:write"], None)
    assert [one["user"] for one in ask("root", "GET", "/tokens?user=victor").get_json()["items"]] == ["victor"]
    first = ask("root", "GET", "/tokens?limit=1").get_json()
    second = ask("root", "GET", f"/tokens?limit=1&cursor={first['next']}").get_json()
    assert [one["token"] for one in first["items"] + second["items"]] == [of_user["token"], of_source["token"]]


@pytest.mark.parametrize(
    ("body", "field", "status"),
    [
        ({}, "source", 422),
        ({"source": "alertmanager", "user": "bob"}, "source", 422),
        ({"source": "nothing"}, "source", 422),
        ({"user": "mallory"}, "user", 422),
        ({"source": "alertmanager", "scope": "read"}, "scope", 422),
        ({"user": "bob", "scope": "admin"}, "scope", 422),
        ({"user": "bob", "scope": "all"}, "scope", 400),
        ({"user": "bob", "seconds": 0}, "seconds", 400),
        ({"user": "bob", "seconds": "9"}, "seconds", 400),
        ({"user": "bob", "label": "\0"}, "label", 400),
    ],
)
def test_an_invalid_token_request_is_rejected(ask: Ask, body: dict[str, Any], field: str, status: int) -> None:
    assert list(errors_of(ask("root", "POST", "/tokens", json=body), status)) == [field]


@pytest.mark.parametrize("token", ["T-999999", "T-0", "x", "9" * 30, "%00"])
def test_an_unknown_token_is_not_found(ask: Ask, token: str) -> None:
    for path in ("/tokens", "/me/tokens"):
        assert ask("root", "DELETE", f"{path}/{token}").status_code == 404
        assert ask("root", "POST", f"{path}/{token}/rotate", json={}).status_code == 404
