"""Sign-ins with the claims of Entra ID, Okta and Keycloak: groups left out, e-mail-shaped names, full paths."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from ims.accounts.people.inputs import NewAccount
from ims.accounts.people.queries import people, person
from ims.accounts.people.usecases import create_account
from ims.audit.models import AuditEntry
from ims.core.db.engine import Database
from ims.core.principal import Role
from ims.core.settings import Settings
from ims.programs.web import create_app
from tests.integration.web.conftest import rolled_back, token
from tests.support.context import ALICE, by
from tests.support.entra import Provider, provider
from tests.support.notifications import NOW

PASSWORD = "correct horse battery"
ELSEWHERE = {
    "_claim_names": {"groups": "src1"},
    "_claim_sources": {"src1": {"endpoint": "https://graph.example/v1.0/users/1/getMemberObjects"}},
}
Ims = Callable[..., Flask]


@pytest.fixture(scope="module")
def entra() -> Iterator[Provider]:
    with provider() as serving:
        yield serving


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    with rolled_back(settings) as database:
        yield database


@pytest.fixture
def ims(settings: Settings, database: Database, entra: Provider, monkeypatch: pytest.MonkeyPatch) -> Ims:
    """Make an ims-web that the provider knows, with further settings; root administrates it."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with database.begin() as session:
        create_account(by(session, ALICE, NOW), NewAccount(name="root", role=Role.ADMIN), PASSWORD)
    ours: dict[str, Any] = {
        "web_url": "http://127.0.0.1:9",
        "oidc_issuer": entra.issuer,
        "oidc_client_id": "ims",
        "oidc_roles": (("sre", "responder"), ("sre/leads", "admin")),
        "oidc_teams": (("sre", "payments"),),
    }
    return lambda **more: create_app(settings.model_copy(update={**ours, **more}), database)


@pytest.fixture
def sign_in(entra: Provider) -> Callable[..., tuple[FlaskClient, TestResponse]]:
    """Sign in with these claims; gives the browser and the page that it sees then."""

    def sign_in(app: Flask, **claims: Any) -> tuple[FlaskClient, TestResponse]:
        client = app.test_client()
        entra.claims = {"sub": "0815", "preferred_username": "bob", **claims}
        answer = entra.answer_to(client.get("/sign-in/oidc").headers["Location"])
        return client, client.get(f"/sign-in/oidc/callback?{answer}", follow_redirects=True)

    return sign_in


SignIn = Callable[..., tuple[FlaskClient, TestResponse]]


def users_page(app: Flask) -> str:
    client = app.test_client()
    client.post("/sign-in", data={"name": "root", "password": PASSWORD, **token(client, "/sign-in")})
    return client.get("/admin/users").text


def actions_of(database: Database, name: str) -> list[str]:
    with database.begin() as session:
        query = select(AuditEntry.action).where(AuditEntry.object == name).order_by(AuditEntry.id)
        return list(session.scalars(query))


@pytest.mark.parametrize(
    "overage", [ELSEWHERE, {"hasgroups": True}, {"hasgroups": "true"}, {"groups:src1": "https://graph.example/x"}]
)
def test_groups_that_were_left_out_change_neither_role_nor_teams(
    ims: Ims, database: Database, sign_in: SignIn, overage: dict[str, Any]
) -> None:
    app = ims()
    first, _ = sign_in(app, groups=["sre"])
    _, page = sign_in(app, **overage)
    assert page.status_code == 200
    assert "The identity provider left out your groups" in page.text
    assert first.get("/account").status_code == 200
    with database.begin() as session:
        bob = person(session, "bob")
    assert (bob.role, bob.teams, bob.groups_missing_since is not None) == (Role.RESPONDER, ("payments",), True)


def test_administrators_are_warned_until_the_groups_are_back(ims: Ims, database: Database, sign_in: SignIn) -> None:
    app, warning = ims(), "left out the groups of bob"
    sign_in(app, groups=["sre"])
    assert warning not in users_page(app)
    browser, _ = sign_in(app, **ELSEWHERE)
    sign_in(app, **ELSEWHERE)
    assert warning in users_page(app)
    assert "left out your groups" not in browser.get("/account").text
    sign_in(app, groups=["sre/leads"])
    assert warning not in users_page(app)
    noted = [action for action in actions_of(database, "bob") if action.startswith("user.groups")]
    assert noted == ["user.groups_missing", "user.groups_back"]


@pytest.mark.parametrize("claims", [{}, {"groups": []}, {"_claim_names": {"address": "src1"}}, {"hasgroups": False}])
def test_no_groups_are_still_no_groups(ims: Ims, sign_in: SignIn, claims: dict[str, Any]) -> None:
    _, page = sign_in(ims(), **claims)
    assert (page.status_code, "None of your groups has access" in page.text) == (403, True)


def test_a_new_account_without_its_groups_gets_the_least_that_they_could_give(
    ims: Ims, database: Database, sign_in: SignIn
) -> None:
    _, page = sign_in(ims(), **ELSEWHERE)
    assert (page.status_code, "left out your groups" in page.text) == (403, True)
    sign_in(ims(oidc_default_role="responder", oidc_roles=(("guests", "viewer"),)), **ELSEWHERE)
    with database.begin() as session:
        bob = person(session, "bob")
    assert (bob.role, bob.teams) == (Role.VIEWER, ())


@pytest.mark.parametrize(
    ("name", "account"),
    [
        ("Alice.Smith@contoso.onmicrosoft.com", "alice.smith@contoso.onmicrosoft.com"),
        ("o'brien+oncall@example.org", "o'brien+oncall@example.org"),
        ("alice_gmail.com#EXT#@contoso.onmicrosoft.com", "alice_gmail.com#ext#@contoso.onmicrosoft.com"),
    ],
)
def test_names_that_look_like_e_mail_addresses_are_accounts(
    ims: Ims, database: Database, sign_in: SignIn, name: str, account: str
) -> None:
    app = ims()
    browser, page = sign_in(app, preferred_username=name, groups=["sre/leads"])
    assert page.status_code == 200
    with database.begin() as session:
        assert account in [one.name for one in people(session)]
    # Every place that has the name in its address.
    links = [part.split('"')[0] for part in browser.get("/admin/users").text.split('href="') if "users/" in part[:15]]
    found = [browser.get(link.replace("&#39;", "'")) for link in links]
    assert [one.status_code for one in found] == [200] * len(links)
    assert len(links) == 3  # root, the account, and the form that adds one


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        (["/sre"], Role.RESPONDER),
        (["/sre", "/sre/leads"], Role.ADMIN),
        (["sre"], Role.RESPONDER),
        (["sre/leads"], Role.ADMIN),
        (["/interns/sre/leads"], None),
        (["/interns/sre"], None),
        (["//sre"], None),
    ],
)
def test_groups_of_keycloak_are_full_paths(
    ims: Ims, database: Database, sign_in: SignIn, groups: list[str], role: Role | None
) -> None:
    _, page = sign_in(ims(), groups=groups)
    assert page.status_code == (403 if role is None else 200)
    if role is not None:
        with database.begin() as session:
            assert person(session, "bob").role is role


def test_a_slash_in_front_may_also_stand_in_the_settings(ims: Ims, sign_in: SignIn) -> None:
    app = ims(oidc_roles=(("/sre", "responder"),))
    assert [sign_in(app, groups=groups)[1].status_code for groups in (["/sre"], ["sre"])] == [200, 200]
