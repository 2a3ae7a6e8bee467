"""The pages about accounts: one's own, and everybody's for administrators."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from ims.accounts.people.queries import person
from ims.accounts.people.usecases import disable_account, link_identity
from ims.accounts.tokens.usecases import create_user_token
from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.core.principal import Scope
from ims.core.settings import Settings
from ims.programs.web import create_app
from tests.integration.web.conftest import SignIn, token
from tests.support.context import ALICE, by
from tests.support.history import PASSWORD

ANOTHER = "another long password"


def post(client: FlaskClient, path: str, **data: object) -> tuple[int, str]:
    answer = client.post(path, data={**data, **token(client, "/account")})
    return answer.status_code, answer.text


def signs_in(app: Flask, name: str, password: str) -> bool:
    client = app.test_client()
    answer = client.post("/sign-in", data={"name": name, "password": password, **token(client, "/sign-in")})
    return answer.status_code == 302


def test_a_new_password_ends_every_other_session(sign_in: SignIn, app: Flask) -> None:
    here, there = sign_in("charlie"), sign_in("charlie")
    assert post(here, "/account/password", present=PASSWORD, password=ANOTHER)[0] == 302
    assert [client.get("/account").status_code for client in (here, there)] == [200, 302]
    assert [signs_in(app, "charlie", password) for password in (PASSWORD, ANOTHER)] == [False, True]


def test_an_error_of_a_password_is_shown_at_its_field(sign_in: SignIn, app: Flask) -> None:
    bob = sign_in("bob")
    status, page = post(bob, "/account/password", present="not this one", password=ANOTHER)
    assert (status, 'id="wrong-present">This is not your present password' in page) == (400, True)
    status, page = post(bob, "/account/password", present=PASSWORD, password="short")
    assert (status, 'id="wrong-password">This must have at least 12' in page) == (400, True)
    assert signs_in(app, "bob", PASSWORD)


def test_the_present_password_cannot_be_guessed_by_who_finds_a_session_open(sign_in: SignIn) -> None:
    bob = sign_in("bob")
    pages = [post(bob, "/account/password", present=f"guess {n}", password=ANOTHER)[1] for n in range(6)]
    assert ["wrong too often" in page for page in pages] == [False] * 5 + [True]
    assert "wrong too often" in post(bob, "/account/password", present=PASSWORD, password=ANOTHER)[1]


def test_a_token_is_shown_once_and_works(sign_in: SignIn, app: Flask) -> None:
    bob = sign_in("bob")
    _, page = post(bob, "/account/tokens", label="cron", scope="read", lifetime="30")
    found = re.search(r'value="(ims_[^"]+)"', page)
    assert found
    assert found[1] not in bob.get("/account").text
    program = app.test_client()
    bearer = {"Authorization": f"Bearer {found[1]}"}
    assert program.get("/incidents", headers=bearer).status_code == 200
    assert program.get("/incidents/new", headers=bearer).status_code == 200
    (name,) = re.findall("<strong>(T-[0-9]+)</strong>", bob.get("/account").text)
    _, page = post(bob, f"/account/tokens/{name}/rotate")
    assert "ims_" in page
    assert post(bob, f"/account/tokens/{name}/revoke")[0] == 302
    assert program.get("/incidents", headers=bearer).status_code == 302


@pytest.mark.parametrize(
    ("field", "value"), [("scope", "admin"), ("scope", "everything"), ("lifetime", "1"), ("label", "x" * 65)]
)
def test_an_error_of_a_token_is_shown_at_its_field(sign_in: SignIn, field: str, value: str) -> None:
    given = {"label": "cron", "scope": "read", "lifetime": "30", field: value}
    status, page = post(sign_in("bob"), "/account/tokens", **given)
    assert (status, f'id="wrong-{field}"' in page) == (400, True)


def test_users_cannot_change_tokens_of_other_users(sign_in: SignIn, database: Database) -> None:
    with database.begin() as session:
        made = create_user_token(by(session, ALICE, utc_now()), "alice", Scope.ADMIN, "")
    for path in ("rotate", "revoke"):
        assert post(sign_in("bob"), f"/account/tokens/{made.name}/{path}")[0] == 404
        assert post(sign_in("alice"), f"/admin/users/bob/tokens/{made.name}/revoke")[0] == 404


def test_an_administrator_adds_a_user_who_then_signs_in(sign_in: SignIn, app: Flask, database: Database) -> None:
    alice = sign_in("alice")
    given = {"name": "dora", "password": ANOTHER, "role": "responder", "email": "", "teams": ["payments"]}
    assert post(alice, "/admin/users/new", **given)[0] == 302
    assert signs_in(app, "dora", ANOTHER)
    with database.begin() as session:
        assert person(session, "dora").teams == ("payments",)
    assert "dora can sign in now." in alice.get("/admin/users").text


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [("name", "bob", 409), ("name", "No Name", 400), ("password", "short", 400), ("role", "emperor", 400),
     ("email", "nowhere", 400), ("teams", "no such team", 400)],
)  # fmt: skip
def test_an_error_of_a_new_account_is_shown_at_its_field(sign_in: SignIn, field: str, value: str, status: int) -> None:
    given = {"name": "dora", "password": ANOTHER, "role": "viewer", "email": "d@example.org", field: value}
    answered, page = post(sign_in("alice"), "/admin/users/new", **given)
    assert (answered, f'id="wrong-{field}"' in page) == (status, True)
    assert ANOTHER not in page


def test_the_last_administrator_cannot_be_demoted_and_sees_why(sign_in: SignIn) -> None:
    alice = sign_in("alice")
    for path, given in (("/admin/users/alice/disable", {}), ("/admin/users/alice", {"role": "viewer", "email": ""})):
        status, page = post(alice, path, **given)
        assert (status, "This is the last administrator who can sign in" in page) == (409, True)
    assert alice.get("/admin/users").status_code == 200


def test_an_unknown_account_is_not_found(sign_in: SignIn) -> None:
    alice = sign_in("alice")
    assert alice.get("/admin/users/nobody").status_code == 404
    assert post(alice, "/admin/users/nobody/disable")[0] == 404
    assert post(alice, "/admin/users/nobody", role="viewer")[0] == 404


def test_a_role_that_is_taken_away_is_gone_at_once(sign_in: SignIn) -> None:
    alice, bob = sign_in("alice"), sign_in("bob")
    assert post(alice, "/admin/users/bob", role="viewer", email="", teams=["payments"])[0] == 302
    assert bob.get("/incidents").status_code == 302
    assert sign_in("bob").get("/incidents/new").status_code == 403


def test_names_of_teams_are_anybody_s_text(sign_in: SignIn) -> None:
    alice, name = sign_in("alice"), "<b>a & ünïcode"
    assert post(alice, "/admin/teams", name=name)[0] == 302
    assert "&lt;b&gt;a &amp; ünïcode" in alice.get("/admin/users").text
    assert post(alice, "/admin/teams/remove", name=name)[0] == 302
    for bad in ("a\0b", "a/b", ".."):
        status, page = post(alice, "/admin/teams", name=bad)
        assert (status, 'id="wrong-name"' in page) == (400, True)


def test_an_account_of_the_identity_provider_is_offered_no_password(sign_in: SignIn, database: Database) -> None:
    alice = sign_in("alice")
    with database.begin() as session:
        link_identity(by(session, ALICE, utc_now()), "bob", "https://id.example", "0815")
        disable_account(by(session, ALICE, utc_now()), "charlie")
    page = alice.get("/admin/users/bob").text
    assert "identity provider" in page
    assert "Set password" not in page
    assert post(alice, "/admin/users/bob/password", password=ANOTHER)[0] == 409
    assert "Enable charlie" in alice.get("/admin/users/charlie").text


def test_the_limit_counts_the_address_behind_trusted_proxies_only(settings: Settings, database: Database) -> None:
    behind = create_app(settings.model_copy(update={"trusted_proxies": "127.0.0.1"}), database)
    client = behind.test_client()
    data = {"name": "bob", "password": "wrong", **token(client, "/sign-in")}

    def answers(address: str, times: int) -> list[int]:
        header = {"X-Forwarded-For": f"203.0.113.9, {address}"}
        return [client.post("/sign-in", data=data, headers=header).status_code for _ in range(times)]

    assert answers("192.0.2.1", 6) == [401] * 5 + [429]
    assert answers("192.0.2.2", 1) == [401]
    direct = create_app(settings, database).test_client()
    data |= token(direct, "/sign-in")
    forged = [
        direct.post("/sign-in", data=data, headers={"X-Forwarded-For": f"192.0.2.{n}"}).status_code for n in range(6)
    ]
    assert forged == [401] * 5 + [429]
