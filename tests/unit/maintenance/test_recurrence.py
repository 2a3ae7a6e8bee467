"""Recurrence rules: what dateutil says, in bounded time whatever is queried."""

from datetime import datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given
from hypothesis import strategies as st

from ims.policy.recurrence import HORIZON_YEARS, Recurrence, RuleFaulty, parse_rule

BERLIN = ZoneInfo("Europe/Berlin")
SUNDAY = datetime.fromisoformat("2026-03-01 02:00")


def times(rule: str, begins: datetime = SUNDAY, count: int = 4) -> list[str]:
    found = parse_rule(rule, begins, BERLIN).starting_from(begins)
    return [f"{time:%Y-%m-%d %H:%M}" for time in islice(found, count)]


def from_date(days: int) -> datetime:
    return datetime.fromisoformat("2026-01-01 02:30") + timedelta(days=days)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=WEEKLY", ["2026-03-01", "2026-03-08"]),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU", ["2026-03-01", "2026-03-10"]),
        ("freq=daily;byday=mo,tu,we,th,fr", ["2026-03-02", "2026-03-03"]),
        ("FREQ=MONTHLY;BYDAY=1SU", ["2026-03-01", "2026-04-05"]),
        ("FREQ=MONTHLY;BYDAY=-1FR", ["2026-03-27", "2026-04-24"]),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", ["2026-03-31", "2026-04-30"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", ["2026-03-31", "2026-04-30"]),
        ("FREQ=DAILY;BYMONTHDAY=-1", ["2026-03-31", "2026-04-30"]),
        ("FREQ=MONTHLY;BYDAY=TU;BYMONTHDAY=8,9,10,11,12,13,14", ["2026-03-10", "2026-04-14"]),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", ["2028-02-29", "2032-02-29"]),
        ("RRULE:FREQ=YEARLY;", ["2026-03-01", "2027-03-01"]),
    ],
)
def test_a_rule_happens_on_its_days(rule: str, expected: list[str]) -> None:
    assert [time[:10] for time in times(rule, count=2)] == expected


def test_the_time_of_day_is_that_of_the_first_time() -> None:
    assert times("FREQ=DAILY", datetime.fromisoformat("2026-03-01 23:45"), 2) == [
        "2026-03-01 23:45",
        "2026-03-02 23:45",
    ]


def test_a_rule_ends_after_its_count() -> None:
    assert len(times("FREQ=DAILY;COUNT=3", count=10)) == 3


@pytest.mark.parametrize(
    ("until", "last"),
    [
        ("20260303", "2026-03-03 02:00"),
        ("20260303T015959", "2026-03-02 02:00"),
        # 01:00 in Greenwich is 02:00 in Berlin in winter.
        ("20260303T010000Z", "2026-03-03 02:00"),
        ("20260303T005959Z", "2026-03-02 02:00"),
    ],
)
def test_a_rule_ends_with_its_last_day_or_moment(until: str, last: str) -> None:
    assert times(f"FREQ=DAILY;UNTIL={until}", count=10)[-1] == last


# Berlin: on 29 March 2026 there is no 02:30, on 25 October there are two. Versions of dateutil differ by an hour there.
@pytest.mark.parametrize("night", ["2026-03-29 02:30", "2026-10-25 02:30"])
@pytest.mark.parametrize("rule", ["FREQ=DAILY", "FREQ=WEEKLY", "FREQ=MONTHLY;BYDAY=-1SU", "FREQ=YEARLY"])
def test_a_clock_on_the_wall_knows_no_change_of_clocks(rule: str, night: str) -> None:
    time = datetime.fromisoformat(night)
    found = next(parse_rule(rule, time, BERLIN).starting_from(time))
    assert (found, found.tzinfo, found.fold) == (time, None, 0)


def test_what_is_asked_from_the_middle_keeps_the_interval() -> None:
    rule = parse_rule("FREQ=WEEKLY;INTERVAL=3", SUNDAY, BERLIN)
    later = SUNDAY + timedelta(weeks=3 * 400)
    assert next(rule.starting_from(later)) == later
    assert next(rule.starting_from(later + timedelta(seconds=1))) == later + timedelta(weeks=3)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("", "is not an RRULE"),
        ("every sunday", "is not an RRULE"),
        ("FREQ=", "is not an RRULE"),
        ("FREQ=SECONDLY", "FREQ must be"),
        ("FREQ=HOURLY", "FREQ must be"),
        ("BYDAY=SU", "FREQ must be"),
        ("FREQ=DAILY;BYHOUR=1,2,3", "BYHOUR is not supported: the time of day is that of `from`"),
        ("FREQ=WEEKLY;BYDAY=SU;BYHOUR=2;BYMINUTE=30", "Write a window for each time of the day"),
        ("FREQ=HOURLY;BYDAY=SU", "Write a window for each time of the day"),
        ("FREQ=WEEKLY;BYDAY=SU;EXDATE=20260308", "EXDATE is not supported: a window has no exceptions"),
        ("FREQ=WEEKLY;BYDAY=SU\nEXDATE;TZID=Europe/Berlin:20260308T020000", "begins after it"),
        ("RRULE:FREQ=WEEKLY;BYDAY=SU\r\nRDATE:20260308T020000Z", "RDATE is not supported: write a window of its own"),
        ("DTSTART:20260301T020000\nRRULE:FREQ=DAILY", "DTSTART is not supported: the first occurrence is `from`"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY cannot be used"),
        ("FREQ=YEARLY;BYEASTER=0", "BYEASTER cannot be used"),
        ("FREQ=WEEKLY;BYDAY=1SU", "with a number"),
        ("FREQ=MONTHLY;BYDAY=0SU", "BYDAY must be"),
        ("FREQ=MONTHLY;BYDAY=SUN", "BYDAY must be"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL must be"),
        ("FREQ=DAILY;INTERVAL=99999999999", "INTERVAL must be"),
        ("FREQ=DAILY;INTERVAL=1,2", "one number"),
        ("FREQ=DAILY;COUNT=-1", "COUNT must be"),
        ("FREQ=DAILY;COUNT=100000", "COUNT must be"),
        ("FREQ=DAILY;COUNT=2;UNTIL=20260303", "both"),
        ("FREQ=DAILY;UNTIL=tomorrow", "UNTIL must be"),
        ("FREQ=DAILY;UNTIL=20269999", "UNTIL must be"),
        ("FREQ=DAILY;UNTIL=00010101T000000Z", "never occurs"),
        ("FREQ=DAILY;FREQ=WEEKLY", "twice"),
        ("FREQ=DAILY;WKST=XX", "WKST must be"),
        ("FREQ=YEARLY;BYMONTH=13", "BYMONTH must be"),
        ("FREQ=DAILY;" + "BYMONTH=1" * 100, "longer than"),
        ("FREQ=DAILY;UNTIL=20250101", "never occurs"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "never occurs"),
        ("FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30", "never occurs"),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "never occurs"),
        ("FREQ=DAILY;INTERVAL=7;BYDAY=MO", "never occurs"),
        ("FREQ=MONTHLY;BYDAY=SU;BYSETPOS=6", "never occurs"),
    ],
)
def test_a_faulty_rule_is_rejected_with_what_is_wrong(rule: str, message: str) -> None:
    with pytest.raises(RuleFaulty) as faulty:
        parse_rule(rule, SUNDAY, BERLIN)
    assert message in str(faulty.value)


def test_a_rule_without_end_is_expanded_only_as_far_as_the_horizon() -> None:
    for rule in ("FREQ=DAILY", "FREQ=WEEKLY", "FREQ=MONTHLY", "FREQ=YEARLY", "FREQ=YEARLY;INTERVAL=366"):
        found = list(parse_rule(rule, SUNDAY, BERLIN).starting_from(SUNDAY))
        # The last week may end in the next year.
        assert found[-1].year <= SUNDAY.year + HORIZON_YEARS + 1
        assert len(found) <= (HORIZON_YEARS + 1) * 366


NUMBERS_OF_MONTH = st.integers(-31, 31).filter(bool)
LISTS = {
    "BYMONTH": st.lists(st.integers(1, 12), min_size=1, max_size=3),
    "BYMONTHDAY": st.lists(NUMBERS_OF_MONTH, min_size=1, max_size=5),
    "BYSETPOS": st.lists(st.integers(-6, 6).filter(bool), min_size=1, max_size=2),
}
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


@st.composite
def rules(draw: st.DrawFn) -> str:
    frequency = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    parts = [f"FREQ={frequency}", f"INTERVAL={draw(st.integers(1, 5))}"]
    is_long = frequency in ("MONTHLY", "YEARLY")
    days = st.sampled_from(DAYS)
    if is_long:
        days = days | st.tuples(st.integers(-5, 5).filter(bool), days).map(lambda pair: f"{pair[0]}{pair[1]}")
    if draw(st.booleans()):
        parts.append("BYDAY=" + ",".join(draw(st.lists(days, min_size=1, max_size=4, unique=True))))
    names = ["BYMONTH"] + ["BYMONTHDAY"] * (frequency != "WEEKLY") + ["BYSETPOS"] * is_long
    for name in draw(st.lists(st.sampled_from(names), unique=True)):
        if name == "BYSETPOS" and not any(part.startswith(("BYDAY", "BYMONTHDAY")) for part in parts):
            continue
        parts.append(f"{name}=" + ",".join(map(str, draw(LISTS[name]))))
    if draw(st.booleans()):
        parts.append(f"WKST={draw(st.sampled_from(DAYS))}")
    if draw(st.booleans()):
        parts.append(f"COUNT={draw(st.integers(1, 30))}")
    return ";".join(parts)


@given(rules(), st.integers(0, 1500).map(from_date), st.integers(0, 1500))
def test_any_rule_happens_when_dateutil_says(rule: str, begins: datetime, later: int) -> None:
    try:
        ours: Recurrence | None = parse_rule(rule, begins, BERLIN)
    except RuleFaulty:
        ours = None
    # dateutil would search a rule that never happens until the year 9999: it gets an end.
    end = begins.replace(year=begins.year + 12)
    bounded = rule if "COUNT" in rule else f"{rule};UNTIL={end:%Y%m%dT%H%M%S}"
    if ours is None:
        return
    theirs = list(islice(takewhile_before(rrulestr(bounded, dtstart=begins), end), 40))
    assert list(islice(takewhile_before(ours.starting_from(begins), end), 40)) == theirs
    moment = begins + timedelta(days=later)
    expected = [time for time in theirs if time >= moment][:5]
    assert list(islice(takewhile_before(ours.starting_from(moment), end), len(expected))) == expected


def takewhile_before(found: object, end: datetime) -> list[datetime]:
    taken: list[datetime] = []
    for time in found:  # type: ignore[attr-defined]
        if time > end or len(taken) == 60:
            break
        taken.append(time)
    return taken


@given(st.text(alphabet="FREQ=DAILYWKMONTHYUB;,0123456789-SP:", max_size=60))
def test_any_text_is_a_rule_or_a_fault(text: str) -> None:
    try:
        found = parse_rule(text, SUNDAY, BERLIN)
    except RuleFaulty:
        return
    assert next(found.starting_from(SUNDAY), None) is not None
