"""The pages in a real Chromium: the content policy holds, scripts run, and what changes appears by itself."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import update

from ims.alerts.models import Episode
from ims.core.actors import Actor, ActorKind
from ims.core.clock import utc_now
from ims.core.db.engine import Database, app_url
from ims.core.settings import Settings
from ims.incidents import usecases as actions
from ims.programs.web import create_app
from ims.runs.models import Run, RunEvent, RunOutcome, RunStatus, VerificationStatus
from tests.support.browser import CHROMIUM, Browser
from tests.support.context import by
from tests.support.history import PASSWORD, Tale
from tests.support.serving import serving
from tests.support.shop import newest_run

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed on this machine")

ALICE = Actor(ActorKind.PERSON, "alice")


@pytest.fixture(scope="module")
def stored(settings: Settings, night: object) -> Iterator[Database]:
    """The database with the night, for what must be seen from another thread."""
    database = Database(app_url(settings), pool_size=5)
    yield database
    database.dispose()


@pytest.fixture(scope="module")
def address(settings: Settings, stored: Database) -> Iterator[str]:
    with serving(create_app(settings, stored)) as address:
        yield address


@pytest.fixture(scope="module")
def signed_in(address: str) -> Iterator[Browser]:
    """One Chromium for all tests of this module, signed in as bob."""
    with Browser() as browser:
        browser.look(width=1280, height=900)
        sign_in(browser, address, "bob")
        yield browser


@pytest.fixture
def browser(signed_in: Browser, address: str) -> Iterator[Browser]:
    signed_in.look(width=1280, height=900)
    signed_in.faults.clear()
    signed_in.requests.clear()
    yield signed_in
    assert signed_in.faults == []
    # Chromium draws its own field for times with pictures that it brings.
    assert [asked for asked in signed_in.requests if not asked.startswith((address, "data:"))] == []


def sign_in(browser: Browser, address: str, name: str) -> None:
    browser.open(f"{address}/incidents")
    for field, value in (("name", name), ("password", PASSWORD)):
        browser.evaluate(f"document.getElementById('{field}').value = {json.dumps(value)}")
    browser.evaluate("document.querySelector('form').requestSubmit()")
    browser.wait_for("document.querySelector('.tiles')")


def text(browser: Browser, selector: str) -> str:
    return str(browser.evaluate(f"document.querySelector({json.dumps(selector)}).innerText"))


@pytest.fixture
def alice(stored: Database) -> Callable[[Callable[..., object]], None]:
    def do(action: Callable[..., object], *arguments: object, incident: str = "INC-27") -> None:
        with stored.begin() as session:
            action(by(session, ALICE, utc_now()), incident, *arguments)

    return do


def test_what_others_do_appears_by_itself(browser: Browser, address: str, alice: Callable[..., None]) -> None:
    browser.open(f"{address}/incidents")
    browser.wait_for("document.querySelector('#connection').textContent === 'live'")
    row = """document.querySelector('tr[data-key="27"]')"""
    assert "Open" in browser.evaluate(f"{row}.innerText")
    alice(actions.acknowledge)
    browser.wait_for(f"{row}.innerText.includes('Acknowledged') && {row}.classList.contains('glow')")
    browser.open(f"{address}/incidents/INC-27")
    browser.wait_for("document.querySelector('#connection').textContent === 'live'")
    browser.evaluate("document.getElementById('note').value = 'half a thought'")
    alice(actions.add_note, "The mail server answers again.")
    browser.wait_for("document.querySelector('.timeline').innerText.includes('The mail server answers again.')")
    # Text that the user is typing is kept.
    assert browser.evaluate("document.getElementById('note').value") == "half a thought"
    alice(actions.resolve)
    browser.wait_for("document.querySelector('[data-region=meta]').innerText.includes('Resolved in')")
    assert "Resolve…" not in text(browser, "main")


def test_a_log_is_followed_while_the_run_goes_on(browser: Browser, address: str, stored: Database) -> None:
    with stored.begin() as session:
        run = newest_run(session, "ims-web")
        run_id, number = run.id, run.number
    browser.open(f"{address}/runs/R-{number}")
    browser.wait_for("document.querySelectorAll('#log .line').length >= 4")
    with stored.begin() as session:
        run = newest_run(session, "ims-web")
        session.add(
            RunEvent(run_id=run_id, counter=6, at=utc_now(), kind="runner_on_failed", stdout="\x1b[31mfatal\x1b[0m",
                     data={})
        )  # fmt: skip
        run.status, run.finished_at = RunStatus.FAILED, (run.started_at or utc_now()) + timedelta(seconds=9)
        run.ended_at = run.finished_at
    browser.wait_for("document.querySelector('#log .line.failed .ansi-red')")
    browser.wait_for("document.querySelector('[data-region=meta]').innerText.includes('Failed')")
    assert not browser.evaluate("document.getElementById('to-failed').hidden")


def test_a_lost_connection_is_shown_and_recovers(settings: Settings, stored: Database) -> None:
    app = create_app(settings, stored)
    with Browser() as browser:
        with serving(app) as address:
            port = int(address.rpartition(":")[2])
            sign_in(browser, address, "charlie")
            browser.wait_for("document.querySelector('#connection')?.textContent === 'live' && !connection.hidden")
        browser.wait_for("!document.getElementById('lost').hidden")
        assert "Connection lost" in text(browser, "#lost")
        with serving(app, port):
            browser.wait_for("document.getElementById('lost').hidden")


def test_the_theme_changes_in_place_and_is_kept(browser: Browser, address: str) -> None:
    before = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    browser.evaluate("document.querySelector('[data-theme-form] button[value=dark]').click()")
    browser.wait_for("document.documentElement.dataset.theme === 'dark'")
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") != before
    # It was answered: only then does the browser have the cookie.
    browser.wait_for("performance.getEntriesByType('resource').some((one) => new URL(one.name).pathname === '/theme')")
    browser.open(f"{address}/incidents/INC-25")
    browser.wait_for("document.documentElement.dataset.theme === 'dark'")


def test_the_overview_moves_by_itself(browser: Browser, address: str, stored: Database) -> None:
    with stored.begin() as session:
        tale = Tale(session, utc_now() - timedelta(seconds=5), "mailer", "mailer is slow", "medium", "Slow")
        run = tale.run(1, 0, RunOutcome.RUNNING)
        run_id, number = run.id, run.number
    browser.open(f"{address}/incidents")
    healing = "document.querySelector('[data-region=healing]')"
    service = "document.querySelector('.service[href*=mailer]')"
    browser.wait_for(f"{healing}.innerText.includes('→ mailer') && {service}.innerText.includes('healing')")
    with stored.begin() as session:
        session.add(
            RunEvent(run_id=run_id, counter=1, at=utc_now(), kind="playbook_on_task_start", task="Purge the queue",
                     stdout="", data={})
        )  # fmt: skip
    browser.wait_for(f"{healing}.innerText.includes('task 1') && {healing}.innerText.includes('Purge the queue')")
    with stored.begin() as session:
        session.execute(
            update(Run)
            .where(Run.number == number)
            .values(status=RunStatus.SUCCEEDED, verification=VerificationStatus.PASSED, ended_at=utc_now())
        )
        session.execute(update(Episode).where(Episode.alert_id == tale.episode.alert_id).values(closed_at=utc_now()))
    browser.wait_for(f"!{healing}.innerText.includes('→ mailer')")
    # The lanes have a table's numbers beside them, and can be pointed at.
    assert browser.evaluate("document.querySelectorAll('.lanes tbody tr').length") == 4
    link = "document.querySelector('.lane a[href^=\"/incidents/INC\"]')"
    assert browser.evaluate(f"{link}.querySelector('title').textContent").startswith("INC-")


def test_further_filters_apply_and_leave_no_empty_ones_in_the_address(browser: Browser, address: str) -> None:
    browser.open(f"{address}/incidents?service=search")
    browser.evaluate("document.querySelector('.filters details summary').click()")
    browser.evaluate("document.getElementById('environment').value = 'production'")
    browser.evaluate("document.getElementById('since').value = '2026-01-01T00:00'")
    browser.evaluate("document.querySelector('.filters .pop button').click()")
    browser.wait_for("location.search.includes('environment=production')")
    browser.wait_for("document.querySelectorAll('.used li strong').length === 2")
    assert browser.evaluate("location.search") == "?service=search&environment=production&since=2026-01-01T00%3A00"
    assert browser.evaluate("[...document.querySelectorAll('.used li strong')].map((one) => one.innerText)") == [
        "production", "2026-01-01 00:00:00"
    ]  # fmt: skip
    browser.evaluate("document.querySelector('.used a').click()")
    browser.wait_for("!location.search.includes('environment')")


def test_a_rejected_action_is_shown_and_the_page_stays_live(
    browser: Browser, address: str, alice: Callable[..., None]
) -> None:
    browser.open(f"{address}/incidents/INC-28")
    browser.evaluate("document.querySelector('.note-form').action = '/incidents/INC-28/start'")
    browser.evaluate("document.getElementById('note').value = 'half a **thought**'")
    browser.evaluate("document.querySelector('.note-form').requestSubmit()")
    browser.wait_for("document.querySelector('[role=alert]')?.innerText.includes('cannot become in progress')")
    assert browser.evaluate("document.getElementById('note').value") == "half a **thought**"
    # It is kept up to date although its address is that of the step.
    browser.wait_for("document.querySelector('#connection').textContent === 'live'")
    alice(actions.add_note, "Looking *too*.", incident="INC-28")
    browser.wait_for("[...document.querySelectorAll('.timeline .prose em')].some((one) => one.innerText === 'too')")
    assert "cannot become" in text(browser, "[role=alert]")
    browser.faults.clear()  # Chromium reports an answer 409 as one


def test_a_hostile_note_does_nothing_and_loads_nothing(
    browser: Browser, address: str, alice: Callable[..., None]
) -> None:
    hostile = (
        "<img src=x onerror=alert(1)> ![x](https://evil.example/x.png) [y](javascript:alert(1))\n\n<script>1</script>"
    )
    alice(actions.add_note, hostile)
    browser.open(f"{address}/incidents/INC-27")
    note = "[...document.querySelectorAll('.timeline .written')].at(-1)"
    assert browser.evaluate(f"{note}.querySelectorAll('img, script').length") == 0
    assert browser.evaluate(f"[...{note}.querySelectorAll('a')].map((one) => one.href)") == [
        "https://evil.example/x.png"
    ]
    assert "<script>1</script>" in browser.evaluate(f"{note}.innerText")


def test_a_long_line_in_a_note_stays_inside_it(browser: Browser, address: str, alice: Callable[..., None]) -> None:
    long = "x" * 3000
    alice(actions.add_note, f"{long}\n\n```\n{long}\n```\n\n| a | b |\n|---|---|\n| {long} | {long} |\n\n> {long}")
    browser.look(width=390, height=844)
    browser.open(f"{address}/incidents/INC-27")
    assert browser.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_the_screen(browser: Browser, address: str, width: int) -> None:
    browser.look(width=width, height=844)
    for path in ("/incidents", "/incidents?team=payments", "/incidents/INC-28", "/runs/R-29", "/incidents/new"):
        browser.open(f"{address}{path}")
        browser.evaluate("document.querySelectorAll('main details').forEach((one) => { one.open = true; })")
        assert browser.evaluate("document.documentElement.scrollWidth") <= width, path
