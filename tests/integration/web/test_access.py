"""Who may do what: alice administers, bob responds, charlie looks on, and a stranger sees nothing."""

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from ims.accounts.models import UserAccount
from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.http import authentication as asking
from tests.integration.web.conftest import SignIn, token
from tests.support.history import PASSWORD

READS = ["/", "/incidents", "/incidents?status=resolved", "/incidents/INC-28", "/runs/R-29", "/runs/R-29/log",
         "/runs/R-29/log.txt", "/dead-letters", "/incidents/INC-28/description.txt",
         "/incidents/INC-29/notes/5.txt", "/account", "/on-call", "/on-call/payments"]  # fmt: skip
ADMIN_READS = ["/audit", "/audit.jsonl", "/admin/users", "/admin/users/new", "/admin/users/bob", "/admin/sources",
               "/admin/sources/alertmanager", "/admin/workers"]  # fmt: skip
FORMS = ["/incidents/new", "/incidents/INC-28/edit"]
CHANGES = ["/incidents/new", "/incidents/INC-28/edit", "/incidents/INC-28/acknowledge", "/incidents/INC-28/start",
           "/incidents/INC-28/resolve", "/incidents/INC-28/notes", "/incidents/INC-28/assign", "/dead-letters/1/retry",
           "/dead-letters/1/drop", "/on-call/payments/overrides", "/on-call/payments/overrides/1/cancel"]  # fmt: skip
OWN_CHANGES = ["/sign-out", "/account/password", "/account/tokens", "/account/tokens/T-1/rotate",
               "/account/tokens/T-1/revoke", "/on-call/calendars", "/on-call/calendars/1/revoke"]  # fmt: skip
ADMIN_CHANGES = ["/admin/users/new", "/admin/users/bob", "/admin/users/bob/password", "/admin/users/bob/disable",
                 "/admin/users/bob/enable", "/admin/users/bob/sign-out", "/admin/users/bob/tokens/T-1/revoke",
                 "/admin/teams", "/admin/teams/remove", "/admin/sources/alertmanager/tokens",
                 "/admin/sources/alertmanager/tokens/T-1/rotate",
                 "/admin/sources/alertmanager/tokens/T-1/revoke"]  # fmt: skip
OPEN = {"health.alive", "health.ready", "health.metrics", "static", "accounts.sign_in_page",
        "accounts.sign_in_by_password", "accounts.set_theme", "oidc.begin", "oidc.finish", "documentation.openapi",
        "documentation.index", "documentation.group", "oncall.calendar"}  # fmt: skip


def test_the_lists_of_this_test_name_every_page(app: Flask) -> None:
    """A new page without a test here fails this one."""
    adapter = app.url_map.bind("")
    reads = {adapter.match(path.partition("?")[0], method="GET")[0] for path in READS + ADMIN_READS + FORMS}
    changes = {adapter.match(path, method="POST")[0] for path in CHANGES + OWN_CHANGES + ADMIN_CHANGES}
    pages = {rule.endpoint for rule in app.url_map.iter_rules() if not rule.endpoint.startswith("api.")}
    assert reads | changes | OPEN == pages


@pytest.mark.parametrize("path", READS + ADMIN_READS + FORMS)
def test_a_stranger_is_sent_to_the_form_and_a_program_gets_401(app: Flask, path: str) -> None:
    client = app.test_client()
    answer = client.get(path)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/sign-in")
    assert "checkout" not in answer.text
    answer = client.get(path, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.content_type) == (401, "application/problem+json")


@pytest.mark.parametrize("path", CHANGES + OWN_CHANGES + ADMIN_CHANGES)
def test_a_stranger_changes_nothing(app: Flask, path: str) -> None:
    client = app.test_client()
    answer = client.post(path, data=token(client, "/sign-in"), headers={"Accept": "application/json"})
    assert answer.status_code == 401


@pytest.mark.parametrize("name", ["alice", "bob", "charlie"])
def test_everybody_signed_in_may_read(sign_in: SignIn, name: str) -> None:
    client = sign_in(name)
    for path in READS:
        assert client.get(path).status_code == 200, path


@pytest.mark.parametrize("path", ADMIN_READS)
def test_some_pages_are_for_administrators(sign_in: SignIn, path: str) -> None:
    assert [sign_in(name).get(path).status_code for name in ("alice", "bob", "charlie")] == [200, 403, 403]


@pytest.mark.parametrize("path", ADMIN_CHANGES)
@pytest.mark.parametrize("name", ["bob", "charlie"])
def test_some_changes_are_for_administrators(sign_in: SignIn, path: str, name: str) -> None:
    client = sign_in(name)
    assert client.post(path, data=token(client, "/account")).status_code == 403


def test_charlie_may_look_but_not_change(sign_in: SignIn) -> None:
    charlie = sign_in("charlie")
    data = token(charlie, "/incidents")
    for path in FORMS:
        assert charlie.get(path).status_code == 403, path
    for path in CHANGES:
        assert charlie.post(path, data=data).status_code == 403, path
    page = charlie.get("/incidents/INC-28").text
    assert "Acknowledge" not in page
    assert "Add note" not in page


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_responders_and_administrators_may_change(sign_in: SignIn, name: str) -> None:
    client = sign_in(name)
    assert client.post("/incidents/INC-28/acknowledge", data=token(client)).status_code == 302
    assert f"{name} acknowledged the incident" in client.get("/incidents/INC-28").text


@pytest.mark.parametrize("path", [*CHANGES, *OWN_CHANGES, *ADMIN_CHANGES, "/theme"])
def test_a_form_without_its_token_changes_nothing(sign_in: SignIn, path: str) -> None:
    answer = sign_in("alice").post(path, data={"text": "x"})
    assert answer.status_code == 400
    assert "This form has expired" in answer.text


def test_signing_in_leads_on_to_the_page_that_was_wanted(app: Flask) -> None:
    client = app.test_client()
    form = client.get("/incidents/INC-28?x=1", follow_redirects=True)
    assert 'name="next" value="/incidents/INC-28?x=1"' in form.text
    data = {"name": "bob", "password": PASSWORD, "next": "/incidents/INC-28", **token(client, "/sign-in")}
    assert client.post("/sign-in", data=data).headers["Location"] == "/incidents/INC-28"


@pytest.mark.parametrize(
    "wanted", ["https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example", "javascript:x", "//["]
)
def test_signing_in_never_leads_to_another_host(app: Flask, wanted: str) -> None:
    client = app.test_client()
    data = {"name": "bob", "password": PASSWORD, "next": wanted, **token(client, "/sign-in")}
    assert client.post("/sign-in", data=data).headers["Location"] == "/incidents"


@pytest.mark.parametrize(
    ("name", "password"),
    [("bob", "wrong"), ("nobody", PASSWORD), ("", ""), ("bob\0", PASSWORD), ("bob", "x" * 5000), ("x" * 5000, "x")],
)
def test_a_wrong_name_and_a_wrong_password_get_the_same_response(app: Flask, name: str, password: str) -> None:
    client = app.test_client()
    answer = client.post("/sign-in", data={"name": name, "password": password, **token(client, "/sign-in")})
    assert answer.status_code == 401
    assert "Name or password is wrong." in answer.text


def test_guessing_is_slowed_down(app: Flask) -> None:
    client = app.test_client()
    data = {"name": "bob", "password": "wrong", **token(client, "/sign-in")}
    assert [client.post("/sign-in", data=data).status_code for _ in range(6)] == [401] * 5 + [429]
    right = client.post("/sign-in", data={**data, "password": PASSWORD})
    assert right.status_code == 429
    assert int(right.headers["Retry-After"]) > 200
    other = client.post("/sign-in", data={**data, "name": "alice", "password": PASSWORD})
    assert other.status_code == 302


def test_signing_in_begins_a_new_session(app: Flask) -> None:
    client = app.test_client()
    before = token(client, "/sign-in")
    answer = client.post("/sign-in", data={"name": "bob", "password": PASSWORD, **before})
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie
    # The token is no longer valid.
    assert client.post("/incidents/INC-28/acknowledge", data=before).status_code == 400


def test_signing_out_everywhere_ends_every_session(sign_in: SignIn) -> None:
    here, there, other = sign_in("bob"), sign_in("bob"), sign_in("alice")
    here.post("/sign-out", data={"everywhere": "1", **token(here)})
    assert [client.get("/incidents").status_code for client in (here, there, other)] == [302, 302, 200]


def test_signing_out_ends_this_session_only(sign_in: SignIn) -> None:
    here, there = sign_in("bob"), sign_in("bob")
    here.post("/sign-out", data=token(here))
    assert [client.get("/incidents").status_code for client in (here, there)] == [302, 200]


def test_a_disabled_account_is_out_at_once(sign_in: SignIn, app: Flask, database: Database) -> None:
    bob = sign_in("bob")
    with database.begin() as session:
        session.execute(update(UserAccount).where(UserAccount.name == "bob").values(disabled_at=utc_now()))
    assert bob.get("/incidents").status_code == 302
    client = app.test_client()
    answer = client.post("/sign-in", data={"name": "bob", "password": PASSWORD, **token(client, "/sign-in")})
    assert answer.status_code == 401


def test_a_session_ends_after_its_hours(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    bob = sign_in("bob")
    monkeypatch.setattr(asking, "clock", lambda: utc_now() + timedelta(hours=12, minutes=1))
    assert bob.get("/incidents").status_code == 302


def test_a_forged_session_is_not_signed_in(app: Flask) -> None:
    client: FlaskClient = app.test_client()
    client.set_cookie(app.config["SESSION_COOKIE_NAME"], "eyJhY2NvdW50IjoiMSJ9.aaaa.bbbb")
    assert client.get("/incidents").status_code == 302
    with client.session_transaction() as session:
        session.update(account="not an id", generation="x", at=3)
    assert client.get("/incidents").status_code == 302


def test_cookies_are_secure_when_people_come_over_tls(app: Flask, settings: object) -> None:
    from ims.core.settings import Settings
    from ims.programs.web import create_app

    assert isinstance(settings, Settings)
    over_tls = create_app(settings.model_copy(update={"web_url": "https://ims.example.org"}))
    assert over_tls.config["SESSION_COOKIE_SECURE"] is True
