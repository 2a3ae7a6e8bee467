"""The calculator in every time zone: no instant twice, no unintended gap, handoffs at the local hour.

`IMS_ONCALL_EXAMPLES` sets the number of Hypothesis' examples, to search longer than the normal suite does.
"""

import json
import os
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import given, settings
from hypothesis import strategies as st

from ims.core.timezones import time_zone
from ims.oncall.calculator import Override, shifts, who
from ims.policy.rotations import Shift, planned_shifts, reached
from ims.policy.schedules import WEEKDAYS, Schedule

ZONES = sorted(available_timezones() - {"localtime"})
FIRST, LAST = date(2020, 1, 6), date(2030, 1, 7)
"""Ten years of weeks."""
EXAMPLES = int(os.environ.get("IMS_ONCALL_EXAMPLES", "300"))
SECOND = timedelta(seconds=1)
PEOPLE = ["alice", "bob", "charlie"]


def wall(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None)


@cache
def changes(name: str) -> list[datetime]:
    """When the clocks of a zone change in the ten years."""
    zone, found = time_zone(name), []
    at, end = (datetime.combine(day, time(), UTC) for day in (FIRST, LAST))
    while at < end:
        after = at + timedelta(days=2)
        if at.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            early, late = at, after
            while late - early > SECOND:
                middle = early + (late - early) // 2
                same = middle.astimezone(zone).utcoffset() == at.astimezone(zone).utcoffset()
                early, late = (middle, late) if same else (early, middle)
            found.append(late.replace(microsecond=0))
        at = after
    return found


def distinct_zones() -> list[str]:
    """One zone of those whose clocks are the same in the ten years."""
    found: dict[Any, str] = {}
    for name in ZONES:
        at = [datetime.combine(FIRST, time(), UTC), *changes(name)]
        found.setdefault(tuple((one, one.astimezone(time_zone(name)).utcoffset()) for one in at), name)
    return sorted(found.values())


def check_joined(found: list[Shift], begins: datetime, ends: datetime) -> None:
    """The shifts cover the time from `begins` to `ends` exactly once."""
    assert (found[0].begins, found[-1].ends) == (begins, ends)
    assert all(one.begins < one.ends for one in found)
    assert all(one.ends == following.begins for one, following in pairwise(found))


def check_handoff(instant: datetime, handoff: time, zone: ZoneInfo) -> None:
    """The local clock shows the handoff time for the first time, or skips it at this instant."""
    shown, before = wall(instant, zone), wall(instant - SECOND, zone)
    due = datetime.combine(shown.date(), handoff)
    if shown != due:
        # A clock that skips midnight passes a handoff of the day before.
        due = due if due <= shown else due - timedelta(days=1)
        assert before < due < shown
    assert before < due


def test_every_handoff_of_every_zone_is_at_the_local_hour_on_the_days_when_clocks_change() -> None:
    """On all other days of the ten years the offset is constant."""
    checked = 0
    for name in distinct_zones():
        zone = time_zone(name)
        for change in changes(name):
            last = None
            for minutes in range(-26 * 60, 26 * 60, 15):
                due = (wall(change, zone) + timedelta(minutes=minutes)).replace(second=0)
                instant = reached(due, zone)
                assert last is None or last <= instant
                assert wall(instant - SECOND, zone) < due <= wall(instant, zone)
                if wall(instant, zone) != due:
                    assert instant == change
                last = instant
                checked += 1
    assert checked > 100_000


def test_a_full_schedule_has_no_gap_in_any_week_in_which_clocks_change_in_any_zone() -> None:
    for name in distinct_zones():
        zone = time_zone(name)
        around = Schedule.model_validate_json(json.dumps({"name": "all", "timezone": name, "layers": [
            {"name": "days", "people": PEOPLE, "starts": "2019-12-30", "rotation": "daily", "handoff": "02:30",
             "restrictions": [{"from": "02:30", "to": "14:30"}]},
            {"name": "nights", "people": PEOPLE, "starts": "2019-12-30", "rotation": "daily", "handoff": "14:30",
             "restrictions": [{"from": "14:30", "to": "02:30"}]},
        ]}))  # fmt: skip
        for change in changes(name):
            begins, ends = change - timedelta(days=2), change + timedelta(days=2)
            found = shifts(around, begins, ends)
            check_joined(found, begins, ends)
            assert not [one for one in found if one.is_gap]
            for one in found[1:]:
                check_handoff(one.begins, time(2, 30) if one.layer == "days" else time(14, 30), zone)


hours = st.integers(0, 23)
minutes = st.sampled_from([0, 0, 30, 45])
local_times = st.builds(lambda hour, minute: f"{hour:02}:{minute:02}", hours, minutes)
rotations = st.one_of(
    st.sampled_from(["daily", "weekly"]),
    st.integers(1, 100).map(lambda number: {"hours": number}),
    st.lists(st.integers(1, 10), min_size=1, max_size=3).map(lambda days: {"days": days}),
)
restrictions = st.builds(
    lambda days, begins, ends: {"days": days, "from": begins, "to": ends},
    st.lists(st.sampled_from(WEEKDAYS), min_size=1, unique=True),
    local_times,
    local_times,
)
layers = st.fixed_dictionaries(
    {
        "people": st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=4),
        "starts": st.dates(date(2018, 1, 1), LAST).map(str),
        "handoff": local_times,
        "rotation": rotations,
        "restrictions": st.lists(restrictions, max_size=2),
    }
)
weeks = st.dates(FIRST, LAST).map(lambda day: datetime.combine(day, time(), UTC))


@st.composite
def zones_and_weeks(draw: st.DrawFn) -> tuple[str, datetime]:
    """A zone and the begin of a week of the ten years, most often one in which the zone's clocks change."""
    name = draw(st.sampled_from(ZONES))
    begins = draw(weeks)
    before = timedelta(hours=draw(st.integers(0, 7 * 24)))
    if changes(name) and draw(st.sampled_from([False, True, True, True])):
        begins = draw(st.sampled_from(changes(name))) - before
    return name, begins


def schedule(name: str, given: list[dict[str, Any]]) -> Schedule:
    numbered = [{"name": f"layer-{number}", **one} for number, one in enumerate(given)]
    return Schedule.model_validate_json(json.dumps({"name": "any", "timezone": name, "layers": numbered}))


@settings(max_examples=EXAMPLES)
@given(zones_and_weeks(), st.lists(layers, min_size=1, max_size=3))
def test_no_instant_belongs_to_two_shifts_or_to_none(
    where: tuple[str, datetime], given_layers: list[dict[str, Any]]
) -> None:
    begins, ends = where[1], where[1] + timedelta(days=7)
    any_schedule = schedule(where[0], given_layers)
    found = planned_shifts(any_schedule, begins, ends)
    check_joined(found, begins, ends)
    # Whoever asks for another time gets the same shifts.
    middle = begins + timedelta(days=3, minutes=17)
    assert [one.person for one in planned_shifts(any_schedule, middle, middle + SECOND)] == [
        one.person for one in found if one.holds(middle)
    ]
    assert all(who(any_schedule, one.begins) == one.person for one in found)


@settings(max_examples=EXAMPLES)
@given(zones_and_weeks(), layers)
def test_a_gap_is_only_where_no_restriction_holds_or_the_layer_has_not_started(
    where: tuple[str, datetime], layer: dict[str, Any]
) -> None:
    zone, begins, ends = time_zone(where[0]), where[1], where[1] + timedelta(days=7)
    starts = datetime.fromisoformat(f"{layer['starts']}T{layer['handoff']}")
    for one in planned_shifts(schedule(where[0], [layer]), begins, ends):
        middle = one.begins + (one.ends - one.begins) / 2
        shown = wall(middle, zone)
        change = any(abs(middle - at) < timedelta(days=1) for at in changes(where[0]))
        if not change:
            assert one.is_gap == (shown < starts or not is_allowed(layer["restrictions"], shown))


def is_allowed(given_restrictions: list[dict[str, Any]], shown: datetime) -> bool:
    """Whether a local time is in one of the restrictions, if there are any: read off the clock's face."""
    if not given_restrictions:
        return True
    today, yesterday = WEEKDAYS[shown.weekday()], WEEKDAYS[shown.weekday() - 1]
    now = f"{shown:%H:%M:%S}"
    for one in given_restrictions:
        if one["from"] < one["to"]:
            if today in one["days"] and one["from"] <= now < one["to"]:
                return True
        elif (today in one["days"] and one["from"] <= now) or (yesterday in one["days"] and now < one["to"]):
            return True
    return False


@settings(max_examples=EXAMPLES)
@given(zones_and_weeks(), layers)
def test_handoffs_are_at_the_local_hour(where: tuple[str, datetime], layer: dict[str, Any]) -> None:
    layer = {**layer, "restrictions": [], "starts": "2019-01-01"}
    if isinstance(layer["rotation"], dict) and "hours" in layer["rotation"]:
        layer["rotation"] = "daily"
    handoff = time.fromisoformat(layer["handoff"])
    for one in planned_shifts(schedule(where[0], [layer]), where[1], where[1] + timedelta(days=7))[1:]:
        check_handoff(one.begins, handoff, time_zone(where[0]))


@settings(max_examples=EXAMPLES)
@given(
    zones_and_weeks(),
    layers,
    st.lists(st.tuples(st.integers(-100, 10_000), st.integers(1, 5_000), st.sampled_from(PEOPLE)), max_size=5),
)
def test_overrides_change_whom_they_cover_and_nothing_else(
    where: tuple[str, datetime], layer: dict[str, Any], given_overrides: list[tuple[int, int, str]]
) -> None:
    begins, ends = where[1], where[1] + timedelta(days=7)
    minute = timedelta(minutes=1)
    overrides = [
        Override(number, begins + start * minute, begins + (start + length) * minute, person)
        for number, (start, length, person) in enumerate(given_overrides)
    ]
    any_schedule = schedule(where[0], [layer])
    found = shifts(any_schedule, begins, ends, overrides)
    check_joined(found, begins, ends)
    for one in found:
        covering = [each for each in overrides if each.begins <= one.begins < each.ends]
        assert one.person == (max(covering).person if covering else who(any_schedule, one.begins))
        assert one.override == (max(covering).id if covering else None)
