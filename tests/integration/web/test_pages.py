"""The pages themselves: what they show, what they accept, and how they answer what is wrong."""

import re
from datetime import datetime
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import select

from ims.core.db.engine import Database
from ims.core.errors import ConfigurationFaulty
from ims.core.settings import Settings
from ims.incidents import search as words
from ims.incidents.models import Incident
from ims.programs.web import create_app
from ims.runs.models import RunEvent, RunOutcome
from tests.integration.web.conftest import SignIn, token
from tests.support.history import Tale, add_log
from tests.support.postgres import free_port


def test_the_overview_shows_what_matters(sign_in: SignIn) -> None:
    page = sign_in("charlie").get("/").text
    assert "Needs attention" in page
    assert re.search(r"Healing now</dt><dd>.*1</dd>", page)
    assert page.index("INC-30") < page.index("INC-28") < page.index("INC-25")
    assert page.count('class="lifeline"') == 4 + 25


def test_the_page_of_an_incident_shows_its_timeline(sign_in: SignIn) -> None:
    page = sign_in("bob").get("/incidents/INC-25").text
    for shown in ("Healed in 1:55", "search is still unhealthy", "Verification passed: search", "attempt 2",
                 "/runs/R-26", "restart-a-dead-service", "5f1c6a0e9b7d", "wiki.example.org",
                 "resolved after 2:01"):  # fmt: skip
        assert shown in page
    assert page.index("Run R-25 started") < page.index("Run R-26 started") < page.index("Incident resolved")


def test_no_page_is_large(sign_in: SignIn) -> None:
    bob = sign_in("bob")
    assets = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', bob.get("/runs/R-29").text + bob.get("/").text))
    shared = sum(len(bob.get(path, buffered=True).data) for path in assets)
    for path in ("/", "/incidents/INC-28", "/runs/R-29", "/incidents/new"):
        assert shared + len(bob.get(path).data) < 150_000, path


def test_static_files_are_cached_forever_and_pages_are_not(sign_in: SignIn) -> None:
    bob = sign_in("bob")
    page = bob.get("/")
    assert page.headers["Cache-Control"] == "no-store"
    style = re.search(r'href="(/static/ims.css[^"]+)"', page.text)
    assert style
    assert "immutable" in bob.get(style[1], buffered=True).headers["Cache-Control"]


def test_nothing_in_a_page_needs_another_host_or_a_script_inside_it(sign_in: SignIn) -> None:
    bob = sign_in("bob")
    for path in ("/", "/incidents/INC-28", "/runs/R-29", "/incidents/new", "/incidents/INC-28/edit"):
        answer = bob.get(path)
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert not re.search(r'<script(?![^>]*src="/static/)|\son\w+="|\sstyle="|src="http', answer.text), path


def test_what_senders_say_is_text(sign_in: SignIn, database: Database, now: datetime) -> None:
    evil = "<script>alert(1)</script>{{ 7*7 }}"
    with database.begin() as session:
        tale = Tale(session, now, "search", evil, "high", alert_name=evil)
        tale.incident.description = evil
        tale.incident.runbook_url = "javascript:alert(1)"
        run = tale.run(1, 2, RunOutcome.FAILED, reason=evil, failed_task=evil)
        add_log(session, run, [("runner_on_failed", f"\x1b[31m{evil}\x1b[0m\x1b]0;x\x07", None)])
        incident, number = tale.incident.number, run.number
    alice = sign_in("alice")
    for path in ("/", f"/incidents/INC-{incident}", f"/runs/R-{number}", f"/runs/R-{number}/log"):
        page = alice.get(path).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;" in page
        assert "49" not in re.findall(r"script&gt;(\d+)", page)
        assert 'href="javascript' not in page
    assert "\x1b" not in alice.get(f"/runs/R-{number}/log.txt").text


def test_filters_stand_in_the_address(sign_in: SignIn) -> None:
    bob = sign_in("bob")
    page = bob.get("/incidents?service=checkout&severity=critical&status=unresolved&q=DOWN").text
    assert re.findall(r">INC-(\d+)</span>", page) == ["28"]
    assert "No incident matches this filter." in bob.get("/incidents?q=nothing-like-it").text


def test_a_search_that_stopped_says_where_and_goes_on(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "affordable_days", lambda *_given, **_more: 1)
    monkeypatch.setattr(words, "WALK_ON_ROWS", 1)
    bob, address, seen = sign_in("bob"), "/incidents?q=nothing-like-it", []
    while address not in seen:
        seen.append(address)
        page = bob.get(address).text
        on = re.search(r'matches this filter.</strong>.*<a href="([^"]+)">Search earlier incidents</a>', page)
        if on is None:
            break
        further = "further " if "cursor=" in address else ""
        assert re.search(rf"No {further}incident since <time [^>]+>[^<]+ 00:00:00 UTC</time> matches", page)
        address = on[1].replace("&amp;", "&")
    assert len(seen) > 1
    assert "<strong>No incident matches this filter.</strong>" in page


def test_pages_of_the_list_follow_each_other(sign_in: SignIn, database: Database, now: datetime) -> None:
    with database.begin() as session:
        for _ in range(45):
            Tale(session, now, "search", "search is slow", "low")
    bob = sign_in("bob")
    first = bob.get("/incidents?severity=low").text
    more = re.search(r'class="more"><a href="([^"]+)"', first)
    assert more
    second = bob.get(more[1].replace("&amp;", "&")).text
    numbers = re.findall(r">INC-(\d+)</span>", first) + re.findall(r">INC-(\d+)</span>", second)
    assert len(numbers) == len(set(numbers)) == 45 + 1
    other = more[1].replace("&amp;", "&").replace("severity=low", "severity=high")
    assert bob.get(other).status_code == 422


@pytest.mark.parametrize(
    "query",
    ["status=sleeping", "severity=none", "sort=random", "cursor=x", "service=%00", "q=" + "x" * 300, "q=%ff%00"],
)
def test_a_wrong_filter_is_named_and_is_no_fault_of_ours(sign_in: SignIn, query: str) -> None:
    bob = sign_in("bob")
    field = query.partition("=")[0]
    answer = bob.get(f"/incidents?{query}", headers={"Accept": "application/json"})
    # Clients cannot know whether a cursor is well-formed.
    assert answer.status_code == (422 if field == "cursor" else 400)
    assert answer.json
    assert answer.json["errors"][0]["field"] == field
    assert bob.get(f"/incidents?{query}").status_code == answer.status_code


@pytest.mark.parametrize(
    "path", ["/incidents/INC-999", "/incidents/x", "/incidents/INC-9999999999999999999999", "/runs/R-999", "/runs/x",
             "/runs/%00", "/nowhere", "/incidents/INC-28/notes",
             "/runs/R-1/log?after=x", "/runs/R-1/log?after=" + "9" * 30],
)  # fmt: skip
def test_bad_addresses_are_never_our_fault(sign_in: SignIn, path: str) -> None:
    assert sign_in("bob").get(path).status_code in (400, 404, 405)


def test_an_illegal_step_is_409_with_the_allowed_ones(sign_in: SignIn) -> None:
    bob = sign_in("bob")
    answer = bob.post("/incidents/INC-28/start", data=token(bob), headers={"Accept": "application/json"})
    assert (answer.status_code, answer.content_type) == (409, "application/problem+json")
    assert answer.json
    assert answer.json["allowed"] == ["acknowledged", "resolved"]
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]
    page = bob.post("/incidents/INC-28/start", data=token(bob))
    assert page.status_code == 409
    assert "acknowledged or resolved" in page.text


def test_bob_works_through_an_incident(sign_in: SignIn) -> None:
    bob = sign_in("bob")
    data = token(bob)
    for step in ("acknowledge", "start", "assign"):
        assert bob.post(f"/incidents/INC-28/{step}", data={**data, "assignee": "bob"}).status_code == 302
    bob.post("/incidents/INC-28/notes", data={**data, "text": "Port 8443 <is> taken\r\nby an old worker."})
    bob.post("/incidents/INC-28/resolve", data={**data, "text": "Ended the old worker."})
    page = bob.get("/incidents/INC-28").text
    for shown in ("bob is working on it", "bob changed assignee from none to bob", "Port 8443 &lt;is&gt; taken<br>\nby",
                 "bob resolved the incident", "Ended the old worker."):  # fmt: skip
        assert shown in page
    assert ">Acknowledge</button>" not in page


def test_an_incident_is_opened_by_hand_once(sign_in: SignIn, database: Database) -> None:
    bob = sign_in("bob")
    data = {**token(bob), "id": str(uuid4()), "title": "Coffee is cold", "severity": "low", "service": "checkout"}
    answers = [bob.post("/incidents/new", data=data) for _ in range(2)]
    with database.begin() as session:
        incident = session.scalars(select(Incident).where(Incident.title == "Coffee is cold")).one()
    assert {answer.headers["Location"] for answer in answers} == {f"/incidents/INC-{incident.number}"}
    assert (incident.environment, incident.team) == ("production", "payments")
    assert incident.runbook_url == "https://wiki.example.org/runbooks/checkout"


def test_a_form_with_faults_keeps_what_was_written(sign_in: SignIn) -> None:
    bob = sign_in("bob")
    data = {**token(bob), "id": "x", "title": "", "severity": "odd", "assignee": "nobody", "description": "Long text"}
    answer = bob.post("/incidents/new", data=data)
    assert answer.status_code == 400
    assert "Long text" in answer.text
    again = bob.post("/incidents/new", data={**data, "id": str(uuid4())})
    assert 'id="wrong-title"' in again.text
    assert 'id="wrong-severity"' in again.text


def edit_form(page: str) -> dict[str, str]:
    """What a browser would send for the edit form as it is."""
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
    return {
        **hidden,
        **{name: hidden[f"seen_{name}"] for name in ("title", "description", "severity", "team", "assignee")},
    }


def test_two_people_edit_at_once_and_nothing_is_overwritten(sign_in: SignIn) -> None:
    alice, bob = sign_in("alice"), sign_in("bob")
    hers, his = (edit_form(client.get("/incidents/INC-28/edit").text) for client in (alice, bob))
    assert alice.post("/incidents/INC-28/edit", data={**hers, "severity": "high"}).status_code == 302
    refused = bob.post("/incidents/INC-28/edit", data={**his, "severity": "low", "title": "Mine"})
    assert refused.status_code == 412
    assert "This is now “high”." in refused.text
    assert 'value="Mine"' in refused.text
    again = edit_form(refused.text)
    saved = bob.post("/incidents/INC-28/edit", data={**again, "severity": "low", "title": "Mine"})
    assert saved.status_code == 302
    assert (
        "bob changed title from checkout is down to Mine, severity from high to low"
        in bob.get("/incidents/INC-28").text
    )


def test_a_page_that_is_kept_up_to_date_is_sent_only_when_it_changed(sign_in: SignIn) -> None:
    bob = sign_in("bob")
    live = {"X-IMS-Live": "1"}
    for path in ("/incidents/INC-25", "/runs/R-29", "/incidents?status=resolved"):
        first = bob.get(path, headers=live)
        assert bob.get(path, headers={**live, "If-None-Match": first.headers["ETag"]}).status_code == 304
        # A person's own reload always gets a page.
        assert bob.get(path, headers={"If-None-Match": first.headers["ETag"]}).status_code == 200
    first = bob.get("/incidents/INC-25", headers=live)
    bob.post("/incidents/INC-25/notes", data={**token(bob), "text": "Well done."})
    assert bob.get("/incidents/INC-25", headers={**live, "If-None-Match": first.headers["ETag"]}).status_code == 200


def test_a_script_that_is_signed_out_hears_it(app: Flask) -> None:
    assert app.test_client().get("/incidents", headers={"X-IMS-Live": "1"}).status_code == 401


def test_a_log_goes_on_where_the_reader_is(sign_in: SignIn) -> None:
    bob = sign_in("bob")
    part = bob.get("/runs/R-29/log?after=5")
    assert part.headers["X-IMS-Cursor"] == "7"
    assert part.headers["X-IMS-Active"] == "no"
    assert 'class="line failed" id="line-6"' in part.text
    assert "TASK" not in part.text
    assert bob.get("/runs/R-29/log?after=7").headers["X-IMS-Cursor"] == "7"


def test_the_page_of_a_run_says_what_it_left_behind(sign_in: SignIn, database: Database, now: datetime) -> None:
    with database.begin() as session:
        run = Tale(session, now, "checkout", "checkout is down").run(1, 5, RunOutcome.HEALED)
        run.left_behind = ["sleep", "<python3>"]
        number = run.number
    page = sign_in("alice").get(f"/runs/R-{number}").text
    assert "What the run left behind was stopped: sleep, &lt;python3&gt;." in page


def test_a_failure_that_is_ignored_is_not_shown_as_one(sign_in: SignIn, database: Database, now: datetime) -> None:
    with database.begin() as session:
        run = Tale(session, now, "checkout", "checkout is down").run(1, 5, RunOutcome.HEALED)
        add_log(session, run, [("runner_item_on_failed", "item", "Stop"), ("runner_on_failed", "ignored", "Stop"),
                               ("runner_on_failed", "failed", "Start")])  # fmt: skip
        session.get_one(RunEvent, (run.id, 2)).data = {"ignored": True}
        number = run.number
    page = sign_in("alice").get(f"/runs/R-{number}").text
    assert page.count('class="line failed"') == 1
    assert 'class="line failed" id="line-3"' in page


def test_a_long_log_shows_its_end_and_the_plain_text_has_all(
    sign_in: SignIn, database: Database, now: datetime
) -> None:
    with database.begin() as session:
        run = Tale(session, now, "search", "search is down").run(1, 2, RunOutcome.HEALED)
        add_log(session, run, [("verbose", f"line {place} " + "x" * 300, None) for place in range(900)])
        number = run.number
    bob = sign_in("bob")
    page = bob.get(f"/runs/R-{number}")
    assert "line 899 " in page.text
    assert "line 1 " not in page.text
    assert "Only the end is shown" in page.text
    assert len(page.data) < 120_000
    whole = bob.get(f"/runs/R-{number}/log.txt").text
    assert whole.count("\n") == 900


def test_health_metrics_and_readiness(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/health").json == {"status": "ok"}
    assert client.get("/health/ready").status_code == 200
    metrics = client.get("/metrics").text
    assert 'incidents_by_status{status="resolved"} 26.0' in metrics
    assert 'runs_active{status="running"} 1.0' in metrics
    assert "ims_web_request_seconds_count" in metrics


def test_the_theme_is_kept(sign_in: SignIn) -> None:
    bob = sign_in("bob")
    data = token(bob)
    assert bob.post("/theme", data={**data, "theme": "dark", "next": "/incidents"}).headers["Location"] == "/incidents"
    assert 'data-theme="dark"' in bob.get("/incidents").text
    bob.post("/theme", data={**data, "theme": ""})
    assert "data-theme=" not in bob.get("/incidents").text
    assert bob.post("/theme", data={**data, "theme": "pink"}).status_code == 400


def test_without_the_database_a_page_says_so_and_tries_again(settings: Settings, sign_in: SignIn, app: Flask) -> None:
    away = settings.model_copy(update={"database_url": f"postgresql://ims_app@127.0.0.1:{free_port()}/ims"})
    lost = create_app(away)
    client, bob = lost.test_client(), sign_in("bob")
    cookie = bob.get_cookie(app.config["SESSION_COOKIE_NAME"])
    assert cookie
    client.set_cookie(cookie.key, cookie.value)
    page = client.get("/incidents")
    assert page.status_code == 503
    assert page.headers["Retry-After"]
    assert "The database does not answer" in page.text
    assert 'http-equiv="refresh"' in page.text
    assert "Traceback" not in page.text
    assert "psycopg" not in page.text
    assert client.get("/health").status_code == 200
    assert client.get("/health/ready").status_code == 503
    assert "incidents_by_status" not in client.get("/metrics").text
    problem = client.get("/incidents", headers={"X-IMS-Live": "1"})
    assert (problem.status_code, problem.content_type) == (503, "application/problem+json")


def test_a_fault_of_ours_shows_a_number_and_no_traceback(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    bob = sign_in("bob")
    monkeypatch.setattr("ims.web.pages.incidents.read_statistics", lambda *_: 1 / 0)
    page = bob.get("/incidents", headers={"X-Request-ID": "known-to-the-proxy"})
    assert page.status_code == 500
    assert "Request known-to-the-proxy" in page.text
    assert "division" not in page.text


def test_without_a_key_for_sessions_it_does_not_start(settings: Settings) -> None:
    with pytest.raises(ConfigurationFaulty, match="IMS_SECRET_KEY_FILE"):
        create_app(settings.model_copy(update={"secret_key": None}))
