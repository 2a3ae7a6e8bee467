"""Who is on call: rotations, restrictions, precedence and overrides, by tables of shifts."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from ims.oncall.calculator import OnCall, Override, gaps, on_call, shifts, who
from ims.policy.rotations import Shift, reached
from ims.policy.schedules import Schedule

BERLIN = ZoneInfo("Europe/Berlin")


def layer(**given: Any) -> dict[str, Any]:
    return {"name": "main", "people": ["alice", "bob"], "starts": "2026-01-05", **given}


def schedule(*layers: dict[str, Any], **given: Any) -> Schedule:
    content = {"name": "payments", "timezone": "Europe/Berlin", "layers": layers or [layer()], **given}
    return Schedule.model_validate_json(json.dumps(content))


def local(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def table(found: Iterable[Shift], zone: ZoneInfo = BERLIN) -> list[str]:
    return [
        f"{one.begins.astimezone(zone):%m-%d %H:%M}-{one.ends.astimezone(zone):%m-%d %H:%M} {one.person or '-'}"
        for one in found
    ]


def test_a_weekly_rotation_hands_off_at_the_local_hour_in_winter_and_summer() -> None:
    found = shifts(schedule(), local("2026-03-23 09:00"), local("2026-04-06 09:00"))
    assert table(found) == ["03-23 09:00-03-30 09:00 bob", "03-30 09:00-04-06 09:00 alice"]
    assert found[0].ends - found[0].begins == timedelta(days=7, hours=-1)


def test_shifts_are_cut_at_the_asked_times_and_not_known_before_the_start() -> None:
    found = shifts(schedule(), local("2026-01-01 00:00"), local("2026-01-06 00:00"))
    assert table(found) == ["01-01 00:00-01-05 09:00 -", "01-05 09:00-01-06 00:00 alice"]
    assert shifts(schedule(), local("2026-01-06 00:00"), local("2026-01-06 00:00")) == []


@pytest.mark.parametrize(
    ("rotation", "expected"),
    [
        ("daily", ["01-05 09:00-01-06 09:00 alice", "01-06 09:00-01-07 09:00 bob", "01-07 09:00-01-08 09:00 alice"]),
        (
            {"hours": 36},
            ["01-05 09:00-01-06 21:00 alice", "01-06 21:00-01-08 09:00 bob"],
        ),
        ({"days": [1, 2]}, ["01-05 09:00-01-06 09:00 alice", "01-06 09:00-01-08 09:00 bob"]),
    ],
)
def test_shifts_have_the_length_of_the_rotation(rotation: Any, expected: list[str]) -> None:
    found = shifts(schedule(layer(rotation=rotation)), local("2026-01-05 09:00"), local("2026-01-08 09:00"))
    assert table(found) == expected


def test_lengths_and_people_take_turns_each_on_their_own() -> None:
    three = schedule(layer(people=["alice", "bob", "charlie"], rotation={"days": [5, 2]}))
    found = shifts(three, local("2026-01-05 09:00"), local("2026-01-19 09:00"))
    assert table(found) == [
        "01-05 09:00-01-10 09:00 alice", "01-10 09:00-01-12 09:00 bob",
        "01-12 09:00-01-17 09:00 charlie", "01-17 09:00-01-19 09:00 alice",
    ]  # fmt: skip
    assert (
        who(three, local("2031-01-06 12:00"))
        == shifts(three, local("2026-01-05 09:00"), local("2031-01-06 12:01"))[-1].person
    )


def test_outside_of_its_restrictions_a_layer_leaves_a_gap() -> None:
    days = [{"days": ["mon", "tue"], "from": "09:00", "to": "17:00"}, {"days": ["fri"], "from": "22:00", "to": "06:00"}]
    found = shifts(schedule(layer(restrictions=days)), local("2026-01-05 00:00"), local("2026-01-11 00:00"))
    assert table(found) == [
        "01-05 00:00-01-05 09:00 -", "01-05 09:00-01-05 17:00 alice", "01-05 17:00-01-06 09:00 -",
        "01-06 09:00-01-06 17:00 alice", "01-06 17:00-01-09 22:00 -", "01-09 22:00-01-10 06:00 alice",
        "01-10 06:00-01-11 00:00 -",
    ]  # fmt: skip
    assert len(gaps(found)) == 4


def test_a_later_layer_takes_precedence_where_it_has_somebody() -> None:
    nights = layer(name="nights", people=["charlie"], restrictions=[{"from": "22:00", "to": "06:00"}])
    found = shifts(schedule(layer(), nights), local("2026-01-05 09:00"), local("2026-01-06 22:00"))
    assert table(found) == [
        "01-05 09:00-01-05 22:00 alice", "01-05 22:00-01-06 06:00 charlie", "01-06 06:00-01-06 22:00 alice",
    ]  # fmt: skip


def test_a_layer_ends_at_its_last_handoff() -> None:
    summer = layer(name="summer", people=["dora"], starts="2026-01-06", ends="2026-01-07", rotation="daily")
    found = shifts(schedule(layer(), summer), local("2026-01-05 09:00"), local("2026-01-08 09:00"))
    assert table(found) == [
        "01-05 09:00-01-06 09:00 alice", "01-06 09:00-01-07 09:00 dora", "01-07 09:00-01-08 09:00 alice",
    ]  # fmt: skip


def test_a_layer_follows_the_clocks_of_its_own_zone() -> None:
    tokyo = layer(
        name="tokyo", people=["charlie"], timezone="Asia/Tokyo", restrictions=[{"from": "09:00", "to": "17:00"}]
    )
    found = shifts(schedule(layer(people=["alice"]), tokyo), local("2026-01-06 00:00"), local("2026-01-06 12:00"))
    assert table(found) == [
        "01-06 00:00-01-06 01:00 alice", "01-06 01:00-01-06 09:00 charlie", "01-06 09:00-01-06 12:00 alice",
    ]  # fmt: skip


def test_an_override_covers_shifts_and_gaps_and_the_newer_one_counts() -> None:
    overrides = [
        Override(2, local("2026-01-12 06:00"), local("2026-01-12 08:00"), "erin"),
        Override(1, local("2026-01-11 12:00"), local("2026-01-12 12:00"), "dora"),
        Override(3, local("2026-02-11 12:00"), local("2026-02-12 12:00"), "dora"),
    ]
    found = shifts(schedule(), local("2026-01-11 09:00"), local("2026-01-13 09:00"), overrides)
    assert table(found) == [
        "01-11 09:00-01-11 12:00 alice", "01-11 12:00-01-12 06:00 dora", "01-12 06:00-01-12 08:00 erin",
        "01-12 08:00-01-12 12:00 dora", "01-12 12:00-01-13 09:00 bob",
    ]  # fmt: skip
    assert [one.override for one in found] == [None, 1, 2, 1, None]
    assert who(schedule(), local("2026-01-12 07:00"), overrides) == "erin"


@pytest.mark.parametrize(
    ("wall", "expected"),
    [
        ("2026-03-29 01:59", "2026-03-29 00:59"),
        # 02:30 is skipped: the clock is past it at 03:00, when it changes.
        ("2026-03-29 02:30", "2026-03-29 01:00"),
        ("2026-03-29 03:00", "2026-03-29 01:00"),
        # 02:30 is shown twice.
        ("2026-10-25 02:30", "2026-10-25 00:30"),
        ("2026-10-25 03:00", "2026-10-25 02:00"),
    ],
)
def test_a_local_time_is_reached_when_the_clock_first_shows_it_or_a_later_one(wall: str, expected: str) -> None:
    assert reached(datetime.fromisoformat(wall), BERLIN) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_a_day_that_a_zone_skips_has_no_shift() -> None:
    """Samoa had no 30 December 2011."""
    apia = ZoneInfo("Pacific/Apia")
    samoa = schedule(layer(starts="2011-12-28", rotation="daily"), timezone="Pacific/Apia")
    found = shifts(samoa, local("2011-12-28 09:00", apia), local("2012-01-01 09:00", apia))
    assert table(found, apia) == [
        "12-28 09:00-12-29 09:00 alice", "12-29 09:00-12-31 00:00 bob", "12-31 00:00-12-31 09:00 alice",
        "12-31 09:00-01-01 09:00 bob",
    ]  # fmt: skip


def test_who_is_on_call_knows_the_whole_shift_and_who_follows() -> None:
    now = on_call(schedule(), local("2026-01-07 12:00"))
    following = Shift(local("2026-01-12 09:00"), local("2026-01-19 09:00"), "bob", "main")
    assert now.shift == Shift(local("2026-01-05 09:00"), local("2026-01-12 09:00"), "alice", "main")
    assert now.following is not None
    assert (now.following.begins, now.following.person) == (following.begins, "bob")
    alone = on_call(schedule(layer(people=["alice"])), local("2026-01-07 12:00"))
    assert alone == OnCall(now.shift, None)
    before = on_call(schedule(), local("2025-12-31 00:00"))
    assert before.shift.is_gap
    assert before.following is not None
    assert before.following.begins == local("2026-01-05 09:00")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (layer(handoff=600), 'must be a local time in quotes, such as "09:00".'),
        (layer(handoff="9:00"), "must be a local time in quotes"),
        (layer(starts="soon"), "must be a date such as 2026-01-05."),
        (layer(starts="1900-01-01"), "must be between the years"),
        (layer(ends="2026-01-05"), "`ends` must be later than `starts`."),
        (layer(people=[]), "at least 1"),
        (layer(people=["Alice B"]), "is not the name of an account"),
        (layer(rotation={"hours": 0}), "greater than or equal to 1"),
        (layer(rotation={"days": []}), "at least 1"),
        (layer(timezone="Europe/Berln"), "is not a time zone"),
    ],
)
def test_what_is_wrong_is_reported(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as error:
        schedule(given)
    assert message in str(error.value)


def test_two_layers_have_two_names() -> None:
    with pytest.raises(ValidationError, match="has several layers 'main'"):
        schedule(layer(), layer())
