"""Swim lanes: many lifelines on one axis of time."""

from datetime import UTC, datetime, timedelta

from ims.reports.lanes import CELLS, LEAST, lay
from ims.reports.lifeline import Attempt, History, Lifeline, Phase, draw

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(hours=24)


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


def people(begins: float, ends: float | None = None) -> Lifeline:
    """An incident that people had from its beginning, so many hours ago."""
    return draw(History(ago(begins), ago(ends) if ends is not None else None, attention_at=ago(begins)), NOW)


def healed(hours: float) -> Lifeline:
    """Half a minute of healing."""
    opened = ago(hours)
    moment = opened + timedelta(seconds=30)
    return draw(History(opened, moment, moment, attempts=[Attempt(opened, moment, moment)]), NOW)


def test_a_long_incident_lies_where_its_time_is() -> None:
    lane = lay([people(18, 12)], NOW - DAY, NOW)
    assert [(one.phase, one.begins, one.length) for one in lane.stretches] == [(Phase.PEOPLE, CELLS // 4, CELLS // 4)]
    assert [(spot.left, spot.width, list(spot.incidents)) for spot in lane.spots] == [(0.25, 0.25, [0])]
    assert lane.ticks == []


def test_half_a_minute_is_seen_on_a_day_and_has_its_tick() -> None:
    lane = lay([healed(12)], NOW - DAY, NOW)
    assert sum(one.length for one in lane.stretches) == LEAST
    assert lane.ticks == [(CELLS // 2 + LEAST) / CELLS]


def test_what_just_began_does_not_stick_out_of_the_lane() -> None:
    lane = lay([people(0)], NOW - DAY, NOW)
    assert (lane.stretches[-1].begins, lane.stretches[-1].length) == (CELLS - LEAST, LEAST)


def test_what_began_before_the_lane_is_cut_off() -> None:
    lane = lay([people(36), people(30, 25)], NOW - DAY, NOW)
    assert [(one.begins, one.length) for one in lane.stretches] == [(0, CELLS)]
    assert [list(spot.incidents) for spot in lane.spots] == [[0]]


def test_people_are_never_hidden_by_automation() -> None:
    lane = lay([people(12, 11), healed(11.9), healed(11.5)], NOW - DAY, NOW)
    assert {one.phase for one in lane.stretches} == {Phase.PEOPLE}
    assert [list(spot.incidents) for spot in lane.spots] == [[0, 1, 2]]


def test_a_storm_needs_no_more_ink_than_the_lane_has_cells() -> None:
    lane = lay([healed(24 * place / 5000) for place in range(5000)], NOW - DAY, NOW)
    assert sum(one.length for one in lane.stretches) <= CELLS
    assert len(lane.ticks) <= CELLS / LEAST + 1
    assert len(lane.spots) == 1
    assert sum(len(path) for path in lane.paths.values()) < 20_000
