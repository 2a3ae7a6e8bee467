"""The pages in a real Chromium: the content policy holds, scripts run, and what changes appears by itself."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from ims.actors import Actor, ActorKind
from ims.app import create_app
from ims.db.engine import Database, app_url
from ims.incidents import actions
from ims.incidents.queries import find_incident
from ims.queue import utc_now
from ims.runs.models import RunEvent, RunStatus
from ims.settings import Settings
from tests.support.browser import CHROMIUM, Browser
from tests.support.history import PASSWORD
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
    # The browser's own fields for times bring their pictures along as data.
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
    def do(action: Callable[..., object], *arguments: object) -> None:
        with stored.begin() as session:
            incident = find_incident(session, "INC-27")
            action(session, incident.id, *arguments, actor=ALICE, now=utc_now())

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
    # What somebody is writing stays.
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
        run.verified_at = run.finished_at
    browser.wait_for("document.querySelector('#log .line.failed .ansi-red')")
    browser.wait_for("document.querySelector('[data-region=meta]').innerText.includes('Failed')")
    assert not browser.evaluate("document.getElementById('to-failed').hidden")


def test_a_lost_connection_is_told_and_found_again(settings: Settings, stored: Database) -> None:
    app = create_app(settings, stored)
    with Browser() as browser:
        with serving(app) as address:
            port = int(address.rpartition(":")[2])
            sign_in(browser, address, "charlie")
            browser.wait_for("document.querySelector('#connection')?.textContent === 'live' && !connection.hidden")
        browser.wait_for("!document.getElementById('lost').hidden")
        assert "No connection" in text(browser, "#lost")
        with serving(app, port):
            browser.wait_for("document.getElementById('lost').hidden")


def test_the_theme_changes_in_place_and_is_kept(browser: Browser, address: str) -> None:
    before = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    browser.evaluate("document.querySelector('[data-theme-form] button[value=dark]').click()")
    browser.wait_for("document.documentElement.dataset.theme === 'dark'")
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") != before
    browser.wait_for("true")
    browser.open(f"{address}/incidents/INC-25")
    browser.wait_for("document.documentElement.dataset.theme === 'dark'")


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_the_screen(browser: Browser, address: str, width: int) -> None:
    browser.look(width=width, height=844)
    for path in ("/incidents", "/incidents/INC-28", "/runs/R-29", "/incidents/new"):
        browser.open(f"{address}{path}")
        assert browser.evaluate("document.documentElement.scrollWidth") <= width, path
