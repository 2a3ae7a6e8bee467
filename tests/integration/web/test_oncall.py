"""The pages about who is on call, and calendar feeds, read by a calendar library."""

import re
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from icalendar import Calendar

from ims.accounts.people.usecases import disable_account
from ims.core.db.engine import Database
from ims.oncall.calculator import gaps
from ims.oncall.queries import schedule_named, shifts_of
from ims.oncall.usecases import NewOverride, override
from tests.integration.web.conftest import SignIn, token
from tests.support.context import by_ims

BERLIN = ZoneInfo("Europe/Berlin")
PAGE_BYTES = 150_000


def test_who_is_on_call_is_shown_to_everybody_and_changed_by_the_team(sign_in: SignIn) -> None:
    for person, changes in (("alice", 2), ("bob", 1), ("charlie", 0)):
        page = sign_in(person).get("/on-call").text
        assert len(page) < PAGE_BYTES
        assert page.count("Override the shift") == changes, person
        assert "Europe/Berlin" in page
        assert page.count('class="strip"') == 2


def test_the_strip_has_every_shift_and_shows_gaps(sign_in: SignIn, database: Database, now: datetime) -> None:
    page = sign_in("charlie").get("/on-call/discovery").text
    with database.begin() as session:
        schedule = schedule_named(session, "discovery")
        expected = gaps(shifts_of(session, schedule, now, now + timedelta(days=28)))
    assert len(expected) >= 27
    assert abs(page.count('class="gap"') - len(expected)) <= 1
    assert page.count('<span class="state bad">') >= 27


def test_handoffs_are_shown_in_the_time_of_the_schedule_and_of_the_reader(sign_in: SignIn) -> None:
    page = sign_in("charlie").get("/on-call/payments").text
    assert re.search(r"<td>Mon \d\d \w{3} 09:00<div", page)
    assert re.search(r'<time datetime="[^"]+T0[78]:00:00.000Z" data-stamp', page)


def test_an_override_is_made_in_local_times_shown_and_cancelled(
    sign_in: SignIn, database: Database, now: datetime
) -> None:
    client = sign_in("bob")
    day = (now.astimezone(BERLIN) + timedelta(days=2)).date()
    form = {
        "person": "charlie",
        "from": f"{day}T10:00",
        "to": f"{day}T12:00",
        "reason": "Doctor",
        **token(client, "/account"),
    }
    answer = client.post("/on-call/payments/overrides", data=form, follow_redirects=True)
    assert "charlie takes over." in answer.text
    override_id = re.search(r"<td>override (\d+)</td>", answer.text)
    assert override_id
    with database.begin() as session:
        found = shifts_of(session, schedule_named(session, "payments"), now, now + timedelta(days=28))
        (made,) = [one for one in found if one.override is not None]
        assert made.begins.astimezone(BERLIN).replace(tzinfo=None) == datetime.combine(
            day, datetime.min.time().replace(hour=10)
        )
        assert made.ends - made.begins == timedelta(hours=2)
    gone = client.post(f"/on-call/payments/overrides/{override_id[1]}/cancel", data=token(client, "/account"))
    assert gone.status_code == 302
    assert "charlie" not in client.get("/on-call/payments").text.split("<table")[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"person": "nobody"}, "This is not an account that may sign in."),
        ({"person": ""}, "This is not an account that may sign in."),
        ({"from": "soon"}, "This must be a time such as 2026-03-01T02:00."),
        ({"to": "2020-01-01T00:00"}, "This is in the past."),
        ({"reason": "x" * 300}, "This may have at most 200 characters."),
    ],
)
def test_what_is_wrong_is_said_beside_the_field(sign_in: SignIn, changes: dict[str, str], message: str) -> None:
    client = sign_in("bob")
    form = {"person": "bob", "from": "2030-01-01T00:00", "to": "2030-01-02T00:00", **token(client, "/account")}
    answer = client.post("/on-call/payments/overrides", data={**form, **changes})
    assert answer.status_code in (400, 422)
    assert message in answer.text


def feed_url(page: str) -> str:
    """The path of the feed that was just created."""
    found = re.search(r'<p class="mono">\S+?(/calendar/\S+?\.ics)</p>', page)
    assert found
    return found[1]


def test_a_feed_is_read_by_a_calendar_until_it_is_revoked(
    app: Flask, sign_in: SignIn, database: Database, now: datetime
) -> None:
    client = sign_in("charlie")
    page = client.post("/on-call/calendars", data={"schedule": "discovery", **token(client, "/account")}).text
    url = feed_url(page)
    assert url not in client.get("/on-call").text
    stranger = app.test_client()
    answer = stranger.get(url)
    assert (answer.status_code, answer.content_type) == (200, "text/calendar; charset=utf-8")
    calendar: Any = Calendar.from_ical(answer.data)
    events: list[Any] = sorted(calendar.walk("VEVENT"), key=lambda event: event["DTSTART"].dt)
    assert calendar["X-WR-CALNAME"] == "On call: discovery"
    assert all(one["DTEND"].dt == following["DTSTART"].dt for one, following in pairwise(events))
    assert {str(event["SUMMARY"]) for event in events} == {"alice on call: discovery", "Nobody on call: discovery"}
    assert len({str(event["UID"]) for event in events}) == len(events)
    revoked = re.search(r"/on-call/calendars/(\d+)/revoke", page)
    assert revoked
    client.post(f"/on-call/calendars/{revoked[1]}/revoke", data=token(client, "/account"))
    assert stranger.get(url).status_code == 404
    assert stranger.get("/calendar/made-up.ics").status_code == 404


def test_a_persons_own_feed_has_their_shifts_and_overrides_only(
    app: Flask, sign_in: SignIn, database: Database, now: datetime
) -> None:
    begins = now.replace(microsecond=0) + timedelta(days=1)
    with database.begin() as session:
        override(by_ims(session, now), "discovery", NewOverride("bob", begins, begins + timedelta(hours=1)))
    client = sign_in("bob")
    url = feed_url(client.post("/on-call/calendars", data=token(client, "/account")).text)
    events: list[Any] = Calendar.from_ical(app.test_client().get(url).data).walk("VEVENT")
    assert {str(event["SUMMARY"]) for event in events} == {"bob on call: discovery", "bob on call: payments"}
    assert [event["DTSTART"].dt for event in events if "DESCRIPTION" in event] == [begins]
    with database.begin() as session:
        disable_account(by_ims(session, now), "bob")
    assert app.test_client().get(url).status_code == 404


def test_the_secret_of_a_feed_is_in_no_log(app: Flask, sign_in: SignIn, capsys: pytest.CaptureFixture[str]) -> None:
    client = sign_in("bob")
    url = feed_url(client.post("/on-call/calendars", data=token(client, "/account")).text)
    app.test_client().get(url)
    app.test_client().get(f"{url}?x=1")
    written = capsys.readouterr()
    assert "calendar" in written.out + written.err
    assert url.removeprefix("/calendar/").removesuffix(".ics") not in written.out + written.err
