"""Audit log entries of changes by pages, and the page that shows them; tests/integration/doors covers every change."""

import re
from html import unescape

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from ims.audit.log import record
from ims.audit.models import AuditEntry
from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.web.pages.audit import PAGE_ROWS
from tests.integration.web.conftest import SignIn, token
from tests.support.context import ALICE, by


def newest(database: Database) -> AuditEntry:
    with database.begin() as session:
        return session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1)).one()


def count(database: Database) -> int:
    with database.begin() as session:
        return session.scalars(select(func.count()).select_from(AuditEntry)).one()


def field(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, name
    return found[1]


def send(client: FlaskClient, path: str, form: dict[str, str]) -> None:
    data = {name: field(client.get(path).text, name) if value == "FORM" else value for name, value in form.items()}
    answer = client.post(path, data={**data, **token(client)})
    assert answer.status_code in (200, 302), (path, answer.text)


def test_changes_are_shown_with_the_values_before_and_after(sign_in: SignIn, database: Database) -> None:
    alice = sign_in("alice")
    send(alice, "/incidents/INC-28/acknowledge", {})
    assert (newest(database).before, newest(database).after) == ({"status": "open"}, {"status": "acknowledged"})
    send(alice, "/incidents/INC-28/edit", {"title": "Slower", "severity": "low", "version": "FORM"})
    entry = newest(database)
    assert entry.before is not None
    assert entry.after is not None
    assert set(entry.after) == set(entry.before)
    assert entry.after["title"] == "Slower"


def test_actions_without_effect_and_rejected_actions_leave_no_entry(sign_in: SignIn, database: Database) -> None:
    alice = sign_in("alice")
    before = count(database)
    alice.post("/incidents/INC-28/start", data=token(alice))
    alice.post("/incidents/new", data={"title": "", **token(alice)})
    alice.post("/dead-letters/4711/retry", data=token(alice))
    assert count(database) == before


def test_signing_in_and_failing_to_are_entries(app: Flask, sign_in: SignIn, database: Database) -> None:
    sign_in("bob")
    entry = newest(database)
    assert (entry.action, entry.actor, entry.after) == ("user.signed_in", "bob", {"by": "password"})
    client = app.test_client()
    client.post("/sign-in", data={"name": "bob", "password": "not this one", **token(client, "/sign-in")})
    entry = newest(database)
    assert (entry.action, entry.actor_kind, entry.object, entry.address) == (
        "user.sign_in_failed", "system", "bob", "127.0.0.1",
    )  # fmt: skip


def test_the_page_shows_the_log_and_filters_it(sign_in: SignIn) -> None:
    alice = sign_in("alice")
    send(alice, "/incidents/INC-28/notes", {"text": "<script>alert(1)</script>"})
    page = alice.get("/audit").text
    for shown in ("incident.noted", "INC-28", "127.0.0.1", "user.signed_in", "&lt;script&gt;alert(1)"):
        assert shown in page
    assert "<script>alert(1)" not in page
    page = alice.get("/audit?kind=user&actor=alice").text
    assert "user.signed_in" in page
    assert "incident.noted" not in page
    assert "No entry matches this filter." in alice.get("/audit?actor=nobody").text
    wrong = alice.get("/audit?since=yesterday&cursor=x")
    assert wrong.status_code == 400
    assert "This must be a time such as" in wrong.text


def test_pages_of_the_log_follow_each_other(sign_in: SignIn, database: Database) -> None:
    alice = sign_in("alice")
    with database.begin() as session:
        for number in range(PAGE_ROWS + 5):
            record(by(session, ALICE, utc_now()), "incident.noted", "INC-28", after={"note": str(number)})
    first = alice.get("/audit?action=incident.noted").text
    found = re.search(r'<p class="more"><a href="([^"]+)"', first)
    assert found
    more = unescape(found[1])
    second = alice.get(more).text
    assert [page.count("<tr>") - 1 for page in (first, second)] == [PAGE_ROWS, 5]
    assert alice.get(more.replace("incident.noted", "incident.edited")).status_code == 422


def test_the_export_has_the_same_filters(sign_in: SignIn) -> None:
    alice = sign_in("alice")
    send(alice, "/incidents/INC-28/acknowledge", {})
    answer = alice.get("/audit.jsonl?kind=incident")
    assert answer.mimetype == "application/jsonl"
    (line,) = answer.text.splitlines()
    assert '"action": "incident.acknowledged"' in line
    assert alice.get("/audit.jsonl?until=x").status_code == 400
    assert alice.get("/audit.jsonl?actor=nobody").text == ""
