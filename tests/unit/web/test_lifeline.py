"""The lifeline: what an incident's time went into."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims.reports.lifeline import Attempt, History, Lifeline, MarkKind, Phase, draw

OPENED = datetime(2026, 3, 1, 3, 12, 7, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return OPENED + timedelta(seconds=seconds)


def phases(line: Lifeline) -> list[tuple[str, float]]:
    return [(segment.phase.value, segment.seconds) for segment in line.segments]


def test_a_healed_incident_waits_heals_verifies_and_is_healthy() -> None:
    history = History(OPENED, resolved_at=at(60), healed_at=at(42), attempts=[Attempt(at(3), at(38), at(45))])
    line = draw(history, at(1000))
    assert phases(line) == [("waiting", 3), ("healing", 35), ("verifying", 7), ("healthy", 15)]
    assert not line.is_open
    (tick,) = line.marks
    assert (tick.kind, tick.left) == (MarkKind.HEALTHY, pytest.approx(line.segments[3].left))


def test_what_automation_could_not_do_is_with_people_until_it_is_resolved() -> None:
    failed = [Attempt(at(1), at(9), at(9)), Attempt(at(40), at(48), at(48))]
    line = draw(History(OPENED, resolved_at=at(300), attention_at=at(49), attempts=failed), at(300))
    assert [phase for phase, _ in phases(line)] == ["waiting", "healing", "waiting", "healing", "waiting", "people"]
    assert phases(line)[-1] == ("people", 251)


def test_a_run_under_way_reaches_to_the_present_moment() -> None:
    line = draw(History(OPENED, attempts=[Attempt(at(2))]), at(20))
    assert phases(line) == [("waiting", 2), ("healing", 18)]
    assert line.is_open
    assert line.ends == at(20)


def test_a_verification_under_way_reaches_to_the_present_moment() -> None:
    assert phases(draw(History(OPENED, attempts=[Attempt(at(2), at(5))]), at(9)))[-1] == ("verifying", 4)


def test_automation_at_work_shows_before_the_person_who_looks_on() -> None:
    history = History(OPENED, acknowledged_at=at(5), attempts=[Attempt(at(2), at(10), at(10))])
    assert phases(draw(history, at(20))) == [("waiting", 2), ("healing", 8), ("people", 10)]


def test_the_first_of_all_human_actions_begins_the_people_s_time() -> None:
    line = draw(History(OPENED, attention_at=at(8), first_human_at=at(4), acknowledged_at=at(6)), at(10))
    assert phases(line) == [("waiting", 4), ("people", 6)]


def test_an_incident_that_was_opened_this_instant_has_a_bar() -> None:
    line = draw(History(OPENED), OPENED)
    assert [(s.phase, s.left, s.width) for s in line.segments] == [(Phase.WAITING, 0, 1)]


def test_marks_before_the_opening_or_after_the_end_are_left_out() -> None:
    line = draw(History(OPENED, resolved_at=at(10), denied_at=[at(-1), at(4), at(11)]), at(20))
    assert [(mark.kind, mark.left) for mark in line.marks] == [(MarkKind.DENIED, pytest.approx(0.4))]


def test_a_service_verification_passed_after_its_incident_was_resolved_has_its_tick_at_the_end() -> None:
    line = draw(History(OPENED, resolved_at=at(10), healed_at=at(12), attempts=[Attempt(at(1), at(5))]), at(20))
    assert [(mark.kind, mark.left) for mark in line.marks] == [(MarkKind.HEALTHY, pytest.approx(1))]


def test_shares_add_the_stretches_of_a_phase() -> None:
    failed = [Attempt(at(1), at(9), at(9)), Attempt(at(40), at(48), at(48))]
    shares = draw(History(OPENED, attempts=failed), at(50)).shares
    assert [(s.phase.value, s.seconds, s.times, s.first_after) for s in shares] == [
        ("waiting", 34, 3, 0),
        ("healing", 16, 2, 1),
    ]


moments = st.integers(-50, 5000)
maybe = st.none() | moments
attempts = st.lists(st.tuples(moments, st.integers(0, 300), st.integers(0, 300)), max_size=6)


@given(maybe, maybe, maybe, maybe, attempts, st.lists(moments, max_size=4), moments)
def test_segments_always_fill_the_bar_without_gaps_and_none_is_invisible(
    resolved: int | None, healed: int | None, acknowledged: int | None, attention: int | None,
    runs: list[tuple[int, int, int]], refused: list[int], now: int,
) -> None:  # fmt: skip
    history = History(
        OPENED,
        resolved_at=None if resolved is None else at(resolved),
        healed_at=None if healed is None else at(healed),
        acknowledged_at=None if acknowledged is None else at(acknowledged),
        attention_at=None if attention is None else at(attention),
        attempts=[Attempt(at(a), at(a + b), at(a + b + c)) for a, b, c in runs],
        denied_at=[at(moment) for moment in refused],
    )
    line = draw(history, at(now), least=0.04)
    assert line.segments[0].begins == line.begins
    assert line.segments[-1].ends == line.ends
    left = 0.0
    for segment, following in zip(line.segments, [*line.segments[1:], None], strict=True):
        assert segment.left == pytest.approx(left)
        assert segment.width >= 0.04 - 1e-9
        left += segment.width
        if following:
            assert segment.ends == following.begins
            assert segment.phase is not following.phase
    assert left == pytest.approx(1)
    assert all(0 <= mark.left <= 1 + 1e-9 for mark in line.marks)
