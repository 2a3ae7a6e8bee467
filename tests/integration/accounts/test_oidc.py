"""Sign-in at a real identity provider, through its own pages: who can sign in, with which role, and what must fail."""

import base64
import hmac
import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import select
from werkzeug.test import TestResponse

from ims.accounts.people.inputs import NewAccount, NewTeam
from ims.accounts.people.queries import people, person
from ims.accounts.people.teams import create_team, join_team
from ims.accounts.people.usecases import change_account, create_account, disable_account, link_identity
from ims.audit.models import AuditEntry
from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.core.principal import Role
from ims.core.settings import Settings
from ims.programs.web import create_app
from ims.web.pages import oidc as views
from tests.integration.web.conftest import rolled_back
from tests.support.context import ALICE, by
from tests.support.identity_provider import CALLBACK, IMS, IdentityProvider, Surfer, changed, identity_provider
from tests.support.notifications import NOW
from tests.support.postgres import free_port

Ims = Callable[..., Flask]


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityProvider]:
    with identity_provider(tmp_path_factory.mktemp("provider")) as provider:
        yield provider


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    with rolled_back(settings) as database:
        yield database


@pytest.fixture
def ims(settings: Settings, database: Database, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch) -> Ims:
    """Make an ims-web that the provider knows, with further settings."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    ours: dict[str, Any] = {
        "web_url": IMS,
        "oidc_issuer": provider.issuer,
        "oidc_client_id": "ims",
        "oidc_client_secret": SecretStr(provider.secret),
        "oidc_roles": (("leads", "admin"), ("engineers", "responder")),
        "oidc_teams": (("engineers", "payments"),),
    }
    return lambda **more: create_app(settings.model_copy(update={**ours, **more}), database)


def begin(client: FlaskClient, following: str = "/account") -> str:
    """The address of the provider to which ims-web redirects for a sign-in."""
    answer = client.get(f"/sign-in/oidc?next={following}")
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"]


def come_back(client: FlaskClient, address: str) -> TestResponse:
    """The response of ims-web to the provider's answer, and where it redirects."""
    assert address.startswith(IMS)
    return client.get(address.removeprefix(IMS), follow_redirects=True)


def sign_in(name: str, app: Flask) -> tuple[FlaskClient, int, str]:
    """A complete sign-in; returns the browser, and status and text of the last page."""
    client = app.test_client()
    page = come_back(client, Surfer(name).answer_of_provider(begin(client)))
    return client, page.status_code, page.text


def is_signed_in(client: FlaskClient) -> bool:
    return client.get("/account").status_code == 200


def newest(database: Database) -> AuditEntry:
    with database.begin() as session:
        return session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1)).one()


def names(database: Database) -> list[str]:
    with database.begin() as session:
        return [one.name for one in people(session)]


def test_the_sign_in_page_offers_it_only_where_there_is_a_provider(ims: Ims, settings: Settings) -> None:
    assert "Sign in with the identity provider" in ims().test_client().get("/sign-in?next=/account").text
    client = create_app(settings).test_client()
    assert "identity provider" not in client.get("/sign-in").text
    assert [client.get(path).status_code for path in ("/sign-in/oidc", CALLBACK)] == [404, 404]


def test_people_get_the_role_of_their_groups(ims: Ims, database: Database) -> None:
    app = ims()
    for name, shown in (("alice", "<dd>Admin</dd>"), ("bob", "<dd>Responder</dd>")):
        _, status, page = sign_in(name, app)
        assert (status, shown in page, "the identity provider" in page) == (200, True, True)
    _, status, page = sign_in("charlie", app)
    assert (status, "None of your groups has access to IMS" in page) == (403, True)
    with database.begin() as session:
        found = {one.name: (one.role, one.teams, one.email, one.signs_in_by) for one in people(session)}
    assert found == {
        "alice": (Role.ADMIN, ("payments",), "alice@example.org", "oidc"),
        "bob": (Role.RESPONDER, ("payments",), "bob@example.org", "oidc"),
    }
    refused = newest(database)
    assert (refused.action, refused.object) == ("user.sign_in_failed", "charlie")


def test_role_and_teams_follow_the_groups_at_each_sign_in(ims: Ims, database: Database) -> None:
    with database.begin() as session:
        create_account(by(session, ALICE, NOW), NewAccount(name="operator", role=Role.ADMIN), None)
    before, _, _ = sign_in("alice", ims())
    with database.begin() as session:
        create_team(by(session, ALICE, NOW), NewTeam(name="by hand"))
        join_team(by(session, ALICE, NOW), "by hand", "alice")
    moved = {"oidc_roles": (("leads", "viewer"),), "oidc_teams": (("guests", "payments"), ("leads", "leadership"))}
    assert "<dd>Viewer</dd>" in sign_in("alice", ims(**moved))[2]
    # The session of the administrator that she was has ended.
    assert not is_signed_in(before)
    with database.begin() as session:
        assert person(session, "alice").teams == ("by hand", "leadership")
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "user.changed")).one()
    assert (entry.actor, entry.before, entry.after) == ("identity provider", {"role": "admin"}, {"role": "viewer"})


def test_without_rules_people_start_with_the_default_role_and_keep_later_changes(ims: Ims, database: Database) -> None:
    app = ims(oidc_roles=(), oidc_teams=(), oidc_default_role="viewer")
    assert "<dd>Viewer</dd>" in sign_in("charlie", app)[2]
    with database.begin() as session:
        change_account(by(session, ALICE, NOW), "charlie", {"role": "responder"})
    assert "<dd>Responder</dd>" in sign_in("charlie", app)[2]


def test_an_existing_account_with_the_same_name_is_not_taken_over_until_it_is_linked(
    ims: Ims, database: Database, provider: IdentityProvider
) -> None:
    app = ims()
    with database.begin() as session:
        for name in ("alice", "bob"):
            create_account(by(session, ALICE, NOW), NewAccount(name=name, role=Role.ADMIN), "correct horse battery")
    _, status, page = sign_in("bob", app)
    assert status == 409
    assert "ims admin user link bob --subject bob" in page
    for subject, status in (("somebody else", 409), ("bob", 200)):
        with database.begin() as session:
            link_identity(by(session, ALICE, NOW), "bob", provider.issuer, subject)
        assert sign_in("bob", app)[1] == status


def test_a_disabled_account_stays_disabled(ims: Ims, database: Database) -> None:
    app = ims()
    sign_in("alice", app)
    bob, _, _ = sign_in("bob", app)
    with database.begin() as session:
        disable_account(by(session, ALICE, utc_now()), "bob")
    assert not is_signed_in(bob)
    _, status, page = sign_in("bob", app)
    assert (status, "Your account is disabled" in page) == (403, True)


def test_the_last_administrator_is_neither_demoted_nor_let_in_as_more_than_the_groups_say(
    ims: Ims, database: Database
) -> None:
    sign_in("alice", ims())
    _, status, page = sign_in("alice", ims(oidc_roles=(("leads", "viewer"),)))
    assert (status, "You are the last administrator" in page) == (403, True)
    with database.begin() as session:
        assert person(session, "alice").role is Role.ADMIN


def test_without_consent_the_sign_in_is_denied(ims: Ims, database: Database) -> None:
    client = ims().test_client()
    page = come_back(client, Surfer("bob").answer_of_provider(begin(client), consent="deny"))
    assert (page.status_code, "you did not consent" in page.text) == (403, True)
    assert names(database) == []


CHANGED: list[tuple[dict[str, str | None], int]] = [
    ({"state": "another"}, 400),
    ({"state": None}, 400),
    ({"iss": "https://elsewhere.example"}, 502),
    ({"iss": None}, 502),
    ({"code": "guessed"}, 502),
    ({"code": None}, 502),
    ({"error": "access_denied", "error_description": "<script>"}, 403),
]


def test_a_tampered_answer_is_refused(ims: Ims, database: Database) -> None:
    client, bob = ims().test_client(), Surfer("bob")
    for change, status in CHANGED:
        page = come_back(client, changed(bob.answer_of_provider(begin(client)), **change))
        assert page.status_code == status, change
        assert "<script>" not in page.text
        assert not is_signed_in(client)
    assert names(database) == []


def test_the_code_of_another_sign_in_is_refused(ims: Ims, database: Database) -> None:
    """Another person's nonce, verifier or client: their answer, injected into this browser."""
    client, bob = ims().test_client(), Surfer("bob")
    for name, value in (
        ("nonce", "another"),
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ("client_id", "other"),
    ):
        page = come_back(client, bob.answer_of_provider(changed(begin(client), **{name: value})))
        assert (page.status_code, "cannot be trusted" in page.text) == (502, True), name
    assert names(database) == []


def test_an_answer_works_once_and_only_in_the_browser_that_began_the_sign_in(ims: Ims) -> None:
    app = ims()
    client, charlies = app.test_client(), app.test_client()
    at_provider = begin(client)
    kept = client.get_cookie(app.config["SESSION_COOKIE_NAME"])
    assert kept
    answer = Surfer("bob").answer_of_provider(at_provider)
    begin(charlies)
    assert [come_back(browser, answer).status_code for browser in (charlies, client, client)] == [400, 200, 400]
    # Also with the earlier cookies restored: the provider knows that the code was used.
    client.set_cookie(kept.key, kept.value)
    assert come_back(client, answer).status_code == 502


def test_a_sign_in_that_takes_too_long_is_begun_again(ims: Ims, monkeypatch: pytest.MonkeyPatch) -> None:
    client = ims().test_client()
    answer = Surfer("bob").answer_of_provider(begin(client))
    monkeypatch.setattr(views, "clock", lambda: utc_now() + views.BEGUN_FOR)
    page = come_back(client, answer)
    assert (page.status_code, "Begin again" in page.text) == (400, True)


def test_several_tabs_may_begin_and_the_way_on_is_ours(ims: Ims) -> None:
    app, bob = ims(), Surfer("bob")
    for wanted, following in (("/incidents/INC-28", "/incidents/INC-28"), ("//evil.example", "/incidents")):
        client = app.test_client()
        first = begin(client, wanted)
        for _ in range(views.MOST_BEGUN - 1):
            begin(client, "/account")
        answer = client.get(bob.answer_of_provider(first).removeprefix(IMS))
        assert answer.headers["Location"] == following


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_an_id_token_not_signed_by_a_key_of_the_provider_is_refused(
    ims: Ims, database: Database, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    """The provider offers unsigned tokens itself; one signed by our own secret would be worth no more."""
    client, forged = ims().test_client(), {}

    def answer(*_: object, **__: object) -> dict[str, str]:
        return {"access_token": "x", "token_type": "Bearer", "id_token": forged["token"]}

    monkeypatch.setattr("authlib.integrations.requests_client.OAuth2Session.fetch_token", answer)
    back = Surfer("bob").answer_of_provider(at_provider := begin(client))
    now = int(utc_now().timestamp())
    claims = {"iss": provider.issuer, "aud": "ims", "sub": "bob", "preferred_username": "bob", "groups": ["leads"]}
    claims |= {"nonce": parse_qs(urlsplit(at_provider).query)["nonce"][0], "iat": now, "exp": now + 60}
    signed = ".".join(part(json.dumps(one).encode()) for one in ({"alg": algorithm}, claims))
    signature = b"" if algorithm == "none" else hmac.digest(provider.secret.encode(), signed.encode(), "sha256")
    forged["token"] = f"{signed}.{part(signature)}"
    assert come_back(client, back).status_code == 502
    assert names(database) == []


def part(text: bytes) -> str:
    """A part of a signed token."""
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


@pytest.mark.parametrize("path", ["/", "/realms/a"])
def test_a_provider_with_another_issuer_is_not_trusted(ims: Ims, provider: IdentityProvider, path: str) -> None:
    page = ims(oidc_issuer=provider.issuer + path).test_client().get("/sign-in/oidc")
    assert (page.status_code, "cannot be trusted" in page.text) == (502, True)


def test_without_the_provider_people_sign_in_by_password(ims: Ims, database: Database) -> None:
    with database.begin() as session:
        create_account(by(session, ALICE, NOW), NewAccount(name="alice", role=Role.ADMIN), "correct horse battery")
    client = ims(oidc_issuer=f"http://127.0.0.1:{free_port()}").test_client()
    page = client.get("/sign-in/oidc")
    assert (page.status_code, "does not answer" in page.text) == (503, True)
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token
    client.post("/sign-in", data={"name": "alice", "password": "correct horse battery", "csrf_token": token[1]})
    assert is_signed_in(client)


def test_neither_the_secret_nor_a_code_stands_in_a_log(
    ims: Ims, provider: IdentityProvider, capsys: pytest.CaptureFixture[str]
) -> None:
    client, bob = ims().test_client(), Surfer("bob")
    answer = bob.answer_of_provider(begin(client))
    come_back(client, changed(answer, state="another"))
    come_back(client, changed(bob.answer_of_provider(begin(client)), code="guessed"))
    come_back(client, answer)
    printed = "".join(capsys.readouterr())
    assert "oidc_refused" in printed
    assert "signed_in" in printed
    assert provider.secret not in printed
    assert parse_qs(urlsplit(answer).query)["code"][0] not in printed
