"""The page of one incident: notes, similar incidents, and how a rejected action is shown."""

import re
from datetime import datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, text

from ims.core.actors import Actor, ActorKind
from ims.core.db.engine import Database
from ims.incidents.usecases import add_note
from ims.runs.models import RunOutcome
from ims.web.incident_page import incident_page
from tests.integration.web.conftest import SignIn, storm, token
from tests.support.context import by
from tests.support.history import Tale
from tests.support.shop import IMPORTER

ALICE = Actor(ActorKind.PERSON, "alice")


def size(client: FlaskClient, path: str) -> int:
    """Bytes of a page with all it needs."""
    page = client.get(path)
    assets = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text))
    return len(page.data) + sum(len(client.get(asset, buffered=True).data) for asset in assets)


def before(page: str) -> list[str]:
    """The incidents that the panel of earlier ones names."""
    panel = page.partition("Similar incidents")[2].partition("</section>")[0]
    return re.findall(r'class="name" href="/incidents/(INC-\d+)"', panel)


def test_notes_are_read_as_markdown_and_kept_as_typed(sign_in: SignIn) -> None:
    charlie = sign_in("charlie")
    page = charlie.get("/incidents/INC-29").text
    assert "<strong>waits for a lock</strong>" in page
    assert '<a href="/incidents/INC-26" rel="noopener noreferrer nofollow">INC-26</a>' in page
    assert "<pre><code>pid   | state" in page
    answer = charlie.get("/incidents/INC-29/notes/5.txt")
    assert (answer.text, answer.mimetype) == (IMPORTER, "text/plain")
    for missing in ("4", "99", "9" * 30):
        assert charlie.get(f"/incidents/INC-29/notes/{missing}.txt").status_code == 404


def test_descriptions_and_closing_notes_are_markdown_too(sign_in: SignIn, database: Database) -> None:
    bob = sign_in("bob")
    data = token(bob)
    with database.begin() as session:
        session.execute(text("UPDATE incident SET description = '# Why\n\n- `disk`' WHERE number = 28"))
    bob.post("/incidents/INC-28/resolve", data={**data, "text": "**Ended** it, see R-29. <b>"})
    page = bob.get("/incidents/INC-28").text
    assert "<h3>Why</h3>" in page
    assert "<li><code>disk</code></li>" in page
    assert "<strong>Ended</strong> it, see" in page
    assert "&lt;b&gt;" in page
    assert bob.get("/incidents/INC-28/description.txt").text == "# Why\n\n- `disk`"


def test_a_long_timeline_of_long_notes_is_shown_in_parts(sign_in: SignIn, database: Database, now: datetime) -> None:
    with database.begin() as session:
        tale = Tale(session, now, "search", "search is down")
        tale.incident.description = "&" * 20_000
        for place in range(30):
            add_note(by(session, ALICE, now), str(tale.id), f"note {place} " + "&" * 19_000)
        for place in range(300):
            add_note(by(session, ALICE, now), str(tale.id), f"short {place}")
        number = tale.incident.number
    bob, path, seen = sign_in("bob"), f"/incidents/INC-{number}", ""
    while path:
        assert size(bob, path) < 150_000
        page = bob.get(path).text
        seen += page
        earlier = re.search(r'href="([^"]+)">Earlier events', page)
        path = earlier[1] if earlier else ""
    for place in range(300):
        assert f"<p>short {place}</p>" in seen
    for place in range(30):
        assert f">note {place} &amp;" in seen
    assert "Only the beginning is shown." in seen
    assert "Incident opened" in seen


def test_an_incident_of_a_storm_has_a_small_page(sign_in: SignIn, database: Database, now: datetime) -> None:
    with database.begin() as session:
        tale = Tale(session, now, "search", "search is down")
        for place in range(150):
            other = Tale(session, now, "search", "x", alert_name=f"Other{place}")
            session.flush()
            session.execute(text("UPDATE episode SET incident_id = :to WHERE incident_id = :one"),
                            {"to": tale.id, "one": other.id})  # fmt: skip
        for attempt in range(60):
            tale.run(attempt, 0.5, RunOutcome.FAILED, attempt=attempt + 1, reason="It did not start. " * 20)
        number = tale.incident.number
    bob = sign_in("bob")
    assert size(bob, f"/incidents/INC-{number}") < 150_000
    page = bob.get(f"/incidents/INC-{number}").text
    assert "The incident has more alerts" in page
    assert "50 earlier runs" in page


def test_what_happened_before_and_what_ended_it(sign_in: SignIn, database: Database, now: datetime) -> None:
    bob = sign_in("bob")
    assert before(bob.get("/incidents/INC-28").text) == ["INC-21", "INC-17", "INC-13", "INC-9", "INC-5"]
    with database.begin() as session:
        tale = Tale(session, now, "checkout", "checkout answers slowly", "medium", "SlowAnswers")
        number = tale.incident.number
    page = bob.get(f"/incidents/INC-{number}").text
    assert before(page) == ["INC-26"]
    assert "resolved by bob in 6:52" in page
    assert "moved it to the night" in page
    assert "healed by restart-a-dead-service" in bob.get("/incidents/INC-28").text


def test_the_same_alert_and_the_same_key_are_found_without_a_service(
    sign_in: SignIn, database: Database, now: datetime
) -> None:
    with database.begin() as session:
        first = Tale(session, now - timedelta(hours=2), "search", "Disk is full", alert_name="DiskFull")
        first.clear(60)
        second = Tale(session, now, "search", "Disk is full", alert_name="DiskFull")
        for tale in (first, second):
            tale.set(service=None)
        alert = first.episode.alert_id
        # One alert, two episodes of it.
        second.episode.alert_id = alert
        keyed = [Tale(session, now + timedelta(seconds=s), "mailer", "x", alert_name=f"Name{s}") for s in (1, 2)]
        for tale in keyed:
            tale.set(correlation_key="one key")
        numbers = [tale.incident.number for tale in (first, second, *keyed)]
    bob = sign_in("bob")
    assert before(bob.get(f"/incidents/INC-{numbers[1]}").text) == [f"INC-{numbers[0]}"]
    assert before(bob.get(f"/incidents/INC-{numbers[3]}").text) == [f"INC-{numbers[2]}"]


def test_earlier_incidents_are_read_by_indexes(database: Database, now: datetime) -> None:
    asked: list[tuple[str, object]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_more: object) -> None:
        if "opened_at <" in statement:
            asked.append((statement, parameters))

    storm(database, now - timedelta(days=3), ["checkout", "other"], 4_000)
    with database.begin() as session:
        connection = session.connection()
        event.listen(connection, "before_cursor_execute", note)
        incident_page(session, "INC-28", now)
        event.remove(connection, "before_cursor_execute", note)
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        connection.execute(text("SET LOCAL enable_sort = off"))
        plans = ["\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {sql}", values))
                 for sql, values in asked]  # fmt: skip
    assert len(plans) == 2
    for plan, index in zip(plans, ("ix_episode_alert", "ix_incident_service_list"), strict=True):
        assert index in plan
        assert "Index Cond" in plan


def test_a_rejected_action_shows_the_incident_s_page_and_keeps_the_typed_text(sign_in: SignIn) -> None:
    bob = sign_in("bob")
    data = token(bob)
    assert bob.post("/incidents/INC-28/resolve", data={**data, "text": "Done."}).status_code == 302
    again = bob.post("/incidents/INC-28/resolve", data={**data, "text": "Done, <too>."})
    assert again.status_code == 409
    assert 'role="alert"' in again.text
    assert "none, resolved is final" in again.text
    assert ">Done, &lt;too&gt;.</textarea>" in again.text
    assert '<link rel="canonical" href="/incidents/INC-28">' in again.text
    empty = bob.post("/incidents/INC-28/notes", data={**data, "text": "  "})
    assert empty.status_code == 400
    assert "Text must not be empty." in empty.text
    hostile = bob.post("/incidents/INC-28/notes", data={**data, "text": "a\x00b\u202e"})
    assert hostile.status_code == 400
    assert "control characters" in hostile.text


@pytest.mark.parametrize(("chosen", "shown"), [("alice", "from none to alice"), ("nobody", ""), ("\0", "")])
def test_an_incident_is_assigned_only_to_an_existing_account(sign_in: SignIn, chosen: str, shown: str) -> None:
    bob = sign_in("bob")
    answer = bob.post("/incidents/INC-28/assign", data={**token(bob), "assignee": chosen})
    page = bob.get("/incidents/INC-28").text
    if shown:
        assert answer.status_code == 302
        assert f"bob changed assignee {shown}" in page
        assert bob.post("/incidents/INC-28/assign", data={**token(bob), "assignee": ""}).status_code == 302
        assert "bob changed assignee from alice to none" in bob.get("/incidents/INC-28").text
    else:
        assert answer.status_code in (400, 422)
        assert re.search(r"<li>Assignee (has no enabled account|must be one line)", answer.text)
        assert "bob changed assignee" not in page


def test_the_times_of_an_incident_stand_on_its_page(sign_in: SignIn) -> None:
    spans = re.findall(r"<dt>Time to (\w+)</dt><dd>(.*?)</dd>", sign_in("charlie").get("/incidents/INC-26").text)
    assert [(name, re.sub("<[^>]+>", "", value)) for name, value in spans] == [
        ("acknowledge", "0:58"), ("heal", "not healed by automation"), ("resolve", "6:52")
    ]  # fmt: skip
    healed = sign_in("charlie").get("/incidents/INC-25").text
    assert "not acknowledged" in healed
    assert "<dd>1:55</dd>" in healed


def test_a_decision_shows_what_each_guard_said(sign_in: SignIn) -> None:
    page = sign_in("charlie").get("/incidents/INC-27").text
    decision = re.search(r'<details id="decision-\d+">(.*?)</details>', page, re.DOTALL)
    assert decision
    assert "only people restart this service" in decision[1]
    assert re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", decision[1]) == [("mode", "pass"), ("manual", "deny: Said so.")]
