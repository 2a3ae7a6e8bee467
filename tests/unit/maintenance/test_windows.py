"""Maintenance windows: what they cover, and when, also on the nights when clocks change."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ims.core.timezones import time_zone
from ims.policy.windows import MaintenanceWindow, Span

WEEKLY = "FREQ=WEEKLY;BYDAY=SU"


def window(**given: Any) -> MaintenanceWindow:
    defaults = {"name": "patching", "services": ["checkout"], "from": "2026-03-01 02:00", "to": "2026-03-01 04:00"}
    return MaintenanceWindow.model_validate_json(json.dumps({**defaults, **given}))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def span(begins: str, ends: str) -> Span:
    return Span(utc(begins), utc(ends))


def faults(**given: Any) -> str:
    with pytest.raises(ValidationError) as error:
        window(**given)
    return " ".join(detail["msg"] for detail in error.value.errors())


def test_a_window_is_open_from_its_start_until_just_before_its_end() -> None:
    once = window()
    assert once.span_at(utc("2026-02-01")) == span("2026-03-01 02:00", "2026-03-01 04:00")
    assert once.first.holds(utc("2026-03-01 02:00"))
    assert once.first.holds(utc("2026-03-01 03:59:59"))
    assert not once.first.holds(utc("2026-03-01 04:00"))
    assert once.span_at(utc("2026-03-01 04:00")) is None


def test_times_without_an_offset_are_those_of_the_zone_and_others_are_not() -> None:
    there = window(timezone="America/New_York")
    assert there.first == span("2026-03-01 07:00", "2026-03-01 09:00")
    mixed = window(timezone="America/New_York", **{"from": "2026-03-01T02:00:00Z", "to": "2026-03-01T04:00:00+01:00"})
    assert mixed.first == span("2026-03-01 02:00", "2026-03-01 03:00")


def test_a_weekly_window_keeps_its_time_on_the_wall_in_summer_and_winter() -> None:
    weekly = window(rrule=WEEKLY, timezone="Europe/Berlin")
    assert weekly.span_at(utc("2026-02-23")) == span("2026-03-01 01:00", "2026-03-01 03:00")
    assert weekly.span_at(utc("2026-06-30")) == span("2026-07-05 00:00", "2026-07-05 02:00")
    assert weekly.span_at(utc("2026-11-30")) == span("2026-12-06 01:00", "2026-12-06 03:00")


# Berlin: 2026-03-29 at 02:00 clocks go to 03:00; 2026-10-25 at 03:00 they go back to 02:00.
# New York: 2026-03-08 at 02:00 to 03:00; 2026-11-01 at 02:00 back to 01:00.
@pytest.mark.parametrize(
    ("zone", "hours", "night", "expected"),
    [
        # The night without 02:00 to 03:00: an hour is left of two.
        ("Europe/Berlin", ("02:00", "04:00"), "2026-03-29", ("2026-03-29 01:00", "2026-03-29 02:00")),
        ("America/New_York", ("02:00", "04:00"), "2026-03-08", ("2026-03-08 07:00", "2026-03-08 08:00")),
        # The night with 02:00 to 03:00 twice: both are in it.
        ("Europe/Berlin", ("02:00", "04:00"), "2026-10-25", ("2026-10-25 00:00", "2026-10-25 03:00")),
        ("America/New_York", ("01:00", "03:00"), "2026-11-01", ("2026-11-01 05:00", "2026-11-01 08:00")),
        # Wholly in the hour that does not exist: an hour later, as RFC 5545 reads it.
        ("Europe/Berlin", ("02:15", "02:45"), "2026-03-29", ("2026-03-29 01:15", "2026-03-29 01:45")),
        # It ends in that hour: it lasts as long as it should.
        ("Europe/Berlin", ("01:00", "02:30"), "2026-03-29", ("2026-03-29 00:00", "2026-03-29 01:30")),
        # It begins in that hour, and its end comes before the start that replaces it: it keeps its length.
        ("Europe/Berlin", ("02:50", "03:05"), "2026-03-29", ("2026-03-29 01:50", "2026-03-29 02:05")),
        # Wholly in the hour that exists twice: from the first to the second.
        ("Europe/Berlin", ("02:15", "02:45"), "2026-10-25", ("2026-10-25 00:15", "2026-10-25 01:45")),
        # Over midnight into the night of the change.
        ("Europe/Berlin", ("23:00", "03:30"), "2026-03-28", ("2026-03-28 22:00", "2026-03-29 01:30")),
        ("Europe/Berlin", ("23:00", "03:30"), "2026-10-24", ("2026-10-24 21:00", "2026-10-25 02:30")),
        # Clocks that move by half an hour, at 02:00 to 02:30.
        ("Australia/Lord_Howe", ("02:00", "04:00"), "2026-10-04", ("2026-10-03 15:30", "2026-10-03 17:00")),
    ],
)
@pytest.mark.parametrize("is_recurring", [True, False])
def test_nights_when_clocks_change(
    zone: str, hours: tuple[str, str], night: str, expected: tuple[str, str], *, is_recurring: bool
) -> None:
    first = datetime.fromisoformat(night) - timedelta(weeks=3 if is_recurring else 0)
    following = first + timedelta(days=hours[1] < hours[0])
    opened = window(
        timezone=zone,
        rrule="FREQ=WEEKLY" if is_recurring else None,
        **{"from": f"{first:%Y-%m-%d} {hours[0]}", "to": f"{following:%Y-%m-%d} {hours[1]}"},
    )
    begins, ends = map(utc, expected)
    assert opened.span_at(begins - timedelta(hours=3)) == Span(begins, ends)
    assert opened.span_at(begins) == Span(begins, ends)
    assert opened.span_at(ends - timedelta(seconds=1)) == Span(begins, ends)
    assert opened.span_at(ends) != Span(begins, ends)


ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "UTC")


@given(
    zone=st.sampled_from(ZONES),
    minute=st.integers(0, 24 * 60 - 1),
    length=st.integers(1, 3 * 24 * 60),
    day=st.integers(0, 800),
    seconds=st.integers(0, 800 * 86400),
)
def test_a_daily_windows_spans_are_never_empty_and_never_far_from_their_length(
    zone: str, minute: int, length: int, day: int, seconds: int
) -> None:
    begins = datetime.fromisoformat("2026-01-01") + timedelta(days=day, minutes=minute)
    daily = window(
        timezone=zone,
        rrule="FREQ=DAILY",
        **{"from": begins.isoformat(), "to": (begins + timedelta(minutes=length)).isoformat()},
    )
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    found = daily.span_at(now)
    assert found is not None
    assert found.ends > now
    assert timedelta(0) < found.ends - found.begins
    assert abs(found.ends - found.begins - timedelta(minutes=length)) <= timedelta(hours=1)
    # Nothing that is open now is passed over.
    shown = found.begins.astimezone(time_zone(zone)).replace(tzinfo=None)
    assert shown.time() == begins.time() or abs(shown - shown.replace(hour=begins.hour, minute=begins.minute)) <= (
        timedelta(hours=1)
    )
    if found.begins > now and now > daily.first.ends:
        assert found.begins - now <= timedelta(days=1, hours=1)


def test_what_people_ended_is_over_and_the_next_time_comes() -> None:
    weekly = window(rrule=WEEKLY)
    ended = utc("2026-03-08 02:30")
    assert weekly.span_at(utc("2026-03-08 02:31"), ended_at=ended) == span("2026-03-15 02:00", "2026-03-15 04:00")
    assert window().span_at(utc("2026-03-01 02:31"), ended_at=utc("2026-03-01 02:30")) is None
    assert window().span_at(utc("2026-03-01 02:31"), ended_at=utc("2026-03-01 01:00")) == window().first


def test_overlapping_times_of_one_window_leave_no_hole() -> None:
    daily = window(rrule="FREQ=DAILY", to="2026-03-02 06:00")
    now = utc("2026-05-01 05:00")
    for _ in range(10):
        found = daily.span_at(now)
        assert found is not None
        assert found.holds(now)
        now = found.ends


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"services": []}, "covers nothing"),
        ({"to": "2026-03-01 02:00"}, "later than"),
        ({"to": "2026-02-28 02:00", "rrule": "FREQ=DAILY"}, "later than"),
        ({"to": "2028-03-01 02:00"}, "longer than 366 days"),
        ({"to": "2026-05-01 02:00", "rrule": "FREQ=YEARLY"}, "longer than 31 days"),
        ({"from": "tomorrow"}, "must be a time"),
        ({"from": 1772330400}, "must be a time"),
        ({"from": "2026-02-30 02:00"}, "must be a time"),
        ({"from": "0001-01-01 00:00"}, "between the years"),
        ({"to": "9999-12-31 23:59"}, "between the years"),
        ({"timezone": "Europe/Bonn"}, "not a time zone"),
        ({"timezone": "../../etc/passwd"}, "not a time zone"),
        ({"timezone": "Europe"}, "not a time zone"),
        ({"timezone": ""}, "not a time zone"),
        ({"rrule": "FREQ=MINUTELY"}, "FREQ must be one of"),
        ({"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}, "never occurs"),
        ({"match": {"": "x"}}, "not a label name"),
        ({"match": {"a": {"regex": r"(a)\1"}}}, "RE2 has no backreferences"),
        ({"name": "Weekly patching"}, "not a valid name"),
    ],
)
def test_a_faulty_window_is_rejected_with_what_is_wrong(given: dict[str, Any], message: str) -> None:
    assert message in faults(**given)


@pytest.mark.parametrize(
    ("given", "labels", "names", "groups", "is_covered"),
    [
        ({}, {}, {"checkout"}, set(), True),
        ({}, {}, {"search"}, {"checkout"}, False),
        ({}, {}, set(), set(), False),
        # By its logical name.
        ({"services": ["shop"]}, {}, {"shop-1", "shop"}, set(), True),
        ({"services": [], "groups": ["databases"]}, {}, {"db"}, {"all", "databases"}, True),
        ({"groups": ["databases"]}, {}, {"db"}, {"databases"}, True),
        ({"match": {"environment": "staging"}}, {"environment": "staging"}, {"checkout"}, set(), True),
        ({"match": {"environment": "staging"}}, {"environment": "production"}, {"checkout"}, set(), False),
        ({"match": {"environment": "staging"}}, {"environment": "staging"}, {"search"}, set(), False),
        ({"services": [], "match": {"cluster": {"regex": "eu-.*"}}}, {"cluster": "eu-1"}, set(), set(), True),
        ({"services": [], "match": {"cluster": {"regex": "eu-.*"}}}, {"cluster": "us-1"}, set(), set(), False),
    ],
)
def test_a_window_covers_its_services_groups_and_labels(
    given: dict[str, Any], labels: dict[str, str], names: set[str], groups: set[str], *, is_covered: bool
) -> None:
    assert window(**given).covers(labels, names, groups) is is_covered


def test_a_window_survives_being_stored() -> None:
    given = window(rrule=WEEKLY, timezone="Europe/Berlin", match={"a": {"regex": "b"}}, reason="Patches")
    stored = given.model_dump_json()
    assert MaintenanceWindow.model_validate_json(stored) == given
    assert '"from":"2026-03-01T02:00:00"' in stored
