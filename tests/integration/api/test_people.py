"""Users and teams by the REST API: for administrators."""

from typing import Any

import pytest
from sqlalchemy import select

from ims.audit.models import AuditEntry
from ims.core.db.engine import Database
from tests.integration.api.conftest import Ask, errors_of

BOT = {"name": "deploy-bot", "role": "responder", "teams": ["payments"]}


def test_an_account_is_added_once_and_read(ask: Ask) -> None:
    answer = ask("root", "POST", "/users", json=BOT)
    assert (answer.status_code, answer.headers["Location"]) == (201, "/api/v1/users/deploy-bot")
    shown = ask("root", "GET", "/users/deploy-bot").get_json()
    assert shown == answer.get_json()
    assert (shown["teams"], shown["state"], shown["signs_in_by"]) == (["payments"], "enabled", "nothing")
    taken = ask("root", "POST", "/users", json=BOT)
    assert (taken.status_code, taken.get_json()["errors"][0]["field"]) == (409, "name")


def test_an_account_is_changed_at_once_or_not_at_all(ask: Ask) -> None:
    assert ask("bob", "GET", "/me").status_code == 200
    body = {"role": "viewer", "teams": [], "enabled": False}
    shown = ask("root", "PATCH", "/users/bob", json=body).get_json()
    assert (shown["role"], shown["teams"], shown["state"]) == ("viewer", [], "disabled")
    assert ask("bob", "GET", "/me").status_code == 401
    refused = ask("root", "PATCH", "/users/alice", json={"role": "viewer", "teams": ["nothing"]})
    assert list(errors_of(refused, 422)) == ["teams"]
    assert ask("root", "GET", "/users/alice").get_json()["role"] == "responder"


def test_the_last_administrator_stays_one(ask: Ask) -> None:
    for body in ({"role": "viewer"}, {"enabled": False}):
        assert ask("root", "PATCH", "/users/root", json=body).status_code == 409


def test_a_password_keeps_its_blanks_and_is_never_returned(ask: Ask, database: Database) -> None:
    password = "  twelve characters  "
    assert ask("root", "POST", "/users/bob/password", json={"password": password}).status_code == 204
    assert ask("root", "POST", "/users/bob/sign-out").status_code == 204
    assert ask("root", "GET", "/users/bob").get_json()["signs_in_by"] == "password"
    with database.begin() as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
        assert [entry.action for entry in entries] == ["user.password_set", "user.signed_out_everywhere"]
        assert password.strip() not in str([(entry.before, entry.after) for entry in entries])


def test_users_are_listed_by_name_a_page_at_a_time(ask: Ask) -> None:
    first = ask("root", "GET", "/users?limit=3").get_json()
    rest = ask("root", "GET", f"/users?limit=3&cursor={first['next']}").get_json()
    assert [one["name"] for one in first["items"] + rest["items"]] == ["alice", "bob", "charlie", "root", "victor"]


def test_members_act_on_the_incidents_of_their_team(ask: Ask, incident: str) -> None:
    assert ask("charlie", "PATCH", f"/incidents/{incident}", json={"note": "x"}).status_code == 403
    joined = ask("root", "POST", "/teams/payments/members", json={"user": "charlie"})
    assert joined.get_json()["members"] == ["bob", "charlie"]
    assert ask("charlie", "PATCH", f"/incidents/{incident}", json={"note": "x"}).status_code == 200
    assert ask("root", "DELETE", "/teams/payments/members/charlie").status_code == 204
    assert ask("charlie", "PATCH", f"/incidents/{incident}", json={"note": "x"}).status_code == 403


def test_a_team_is_added_once_and_removed_with_its_memberships(ask: Ask) -> None:
    assert [ask("root", "POST", "/teams", json={"name": "On call"}).status_code for _ in range(2)] == [201, 200]
    assert [one["name"] for one in ask("root", "GET", "/teams").get_json()["items"]] == ["On call", "payments"]
    assert ask("root", "GET", "/teams/On%20call").get_json()["members"] == []
    assert ask("root", "DELETE", "/teams/payments").status_code == 204
    assert ask("root", "DELETE", "/teams/payments").status_code == 404
    assert ask("bob", "GET", "/me").get_json()["teams"] == []


@pytest.mark.parametrize(
    ("path", "body", "field", "status"),
    [
        ("/users", {**BOT, "name": "Deploy Bot"}, "name", 400),
        ("/users", {**BOT, "role": "owner"}, "role", 400),
        ("/users", {**BOT, "email": "x"}, "email", 400),
        ("/users", {**BOT, "teams": ["nothing"]}, "teams", 422),
        ("/users", {**BOT, "password": "short"}, "password", 400),
        ("/users", {**BOT, "admin": True}, "admin", 400),
        ("/users/bob/password", {"password": "x" * 300}, "password", 400),
        ("/teams", {"name": " "}, "name", 400),
        ("/teams", {"name": "a\0b"}, "name", 400),
        ("/teams", {"name": "a/b"}, "name", 400),
        ("/teams", {"name": " .. "}, "name", 400),
        ("/teams/payments/members", {"user": "mallory"}, "user", 422),
    ],
)
def test_what_makes_no_sense_is_named(ask: Ask, path: str, body: dict[str, Any], field: str, status: int) -> None:
    assert list(errors_of(ask("root", "POST", path, json=body), status)) == [field]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/users/mallory", None),
        ("PATCH", "/users/mallory", {"role": "viewer"}),
        ("PATCH", "/users/mallory", {"enabled": True}),
        ("POST", "/users/mallory/password", {"password": "twelve characters"}),
        ("POST", "/users/mallory/sign-out", None),
        ("GET", "/teams/nothing", None),
        ("GET", "/teams/%00", None),
        ("POST", "/teams/nothing/members", {"user": "bob"}),
        ("DELETE", "/teams/nothing/members/bob", None),
        ("DELETE", "/teams/payments/members/mallory", None),
    ],
)
def test_an_unknown_one_is_not_found(ask: Ask, method: str, path: str, body: Any) -> None:
    assert ask("root", method, path, json=body).status_code == 404
