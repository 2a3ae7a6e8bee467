"""Figures of a range of days: what was added up and what was not yet are together what a plain count says."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from ims.core.errors import Invalid
from ims.incidents.models import Incident, IncidentChange, IncidentDaily, Status
from ims.reports.rollups import RELATIVE_ERROR, SHORTEST, roll_up
from ims.reports.statistics import count_by_status
from ims.reports.summary import PERCENTILES, TIMED, Chosen, Durations, Metric, Summary, read_summary

START = datetime(2026, 3, 1, tzinfo=UTC)
NOW = START + timedelta(days=24)
"""After everything that happens here."""


@dataclass(frozen=True)
class Step:
    """Something that happens to the incident that is `which` among those that are there."""

    do: str
    which: int
    at: datetime
    value: str


MOMENTS = st.builds(
    lambda seconds, micro: START + timedelta(seconds=seconds, microseconds=micro),
    st.one_of(st.integers(0, 15 * 86400), st.sampled_from([0, 1, 86399, 86400, 86401])),
    st.sampled_from([0, 1, 500_000]),
)  # fmt: skip
STEPS = st.builds(
    Step,
    do=st.sampled_from(
        ["open", "open", "open", "acknowledge", "touch", "heal", "resolve", "severity", "team", "title", "remove"]
        + ["roll up"] * 3
    ),
    which=st.integers(0, 11),
    at=MOMENTS,
    value=st.sampled_from(["a", "b"]),
)
CHOSEN = (
    Chosen(), Chosen(service="a"), Chosen(environment="a"), Chosen(severity="a"), Chosen(team="a"),
    Chosen(environment="b", team="a"), Chosen(service="a", team="a", severity="b"),
    Chosen(service="b", environment="a"),
)  # fmt: skip


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, min_size=25, max_size=50), days=st.tuples(st.integers(0, 16), st.integers(0, 16)))
def test_the_summary_is_the_plain_count_whatever_happened_and_whatever_is_added_up(
    session: Session, steps: list[Step], days: tuple[int, int]
) -> None:
    first, last = (START + timedelta(days=day) for day in sorted(days))
    with session.begin_nested() as savepoint:
        removed: list[dict[str, Any]] = []
        for step in steps:
            take(session, step, removed)
        rows = [dict(row) for row in session.execute(select(*Incident.__table__.c)).mappings()]
        for chosen in CHOSEN:
            assert_plain(read_summary(session, first, last + timedelta(days=1), chosen, NOW), chosen, rows + removed)
        assert count_by_status(session) == {s: sum(row["status"] == s for row in rows) for s in Status}
        savepoint.rollback()


def assert_plain(summary: Summary, chosen: Chosen, rows: list[dict[str, Any]]) -> None:
    """The summary says what the rows say, counted one by one."""
    wanted = [row for row in rows if all(row[name] == value for name, value in asdict(chosen).items() if value)]
    facts = [fact for row in wanted for fact in facts_of(row) if summary.first <= fact[1] <= summary.last]
    assert summary.counts == {metric: Counter(name for name, *_ in facts)[metric] for metric in Metric}
    by_severity = Counter((severity, name) for name, _, severity, _ in facts)
    assert summary.by_severity == {
        severity: {metric: by_severity[severity, metric] for metric in Metric}
        for severity in {severity for severity, _ in by_severity}
    }
    for day in summary.days:
        assert day.counts == {m: sum(name == m and on == day.day for name, on, *_ in facts) for m in Metric}
    found = (summary.to_acknowledge, summary.to_resolve, summary.to_heal)
    for metric, durations in zip(TIMED, found, strict=True):
        assert_durations(durations, sorted(seconds for name, _, _, seconds in facts if name == metric))


def take(session: Session, step: Step, removed: list[dict[str, Any]]) -> None:
    """Do one step as the programs do it, or nothing when there is no such incident."""
    if step.do == "roll up":
        roll_up(session, step.which + 1)
        return
    if step.do == "open":
        session.add(
            Incident(
                id=uuid4(), title="one", labels={}, updated_at=step.at, opened_at=step.at, severity=step.value,
                environment=("a", "b")[step.which % 2], service=("a", "b", None)[step.which % 3],
                team=("a", None)[step.which % 4 // 2],
            )
        )  # fmt: skip
        session.flush()
        return
    ids: list[UUID] = list(session.scalars(select(Incident.id).order_by(Incident.number)))
    if not ids:
        return
    own_id = ids[step.which % len(ids)]
    row = dict(session.execute(select(*Incident.__table__.c).where(Incident.id == own_id)).mappings().one())
    if step.do == "remove":
        session.execute(delete(Incident).where(Incident.id == own_id))
        removed.append(row)
        return
    later = max(step.at, row["opened_at"])
    changes: dict[str, dict[str, Any]] = {
        "acknowledge": {"acknowledged_at": row["acknowledged_at"] or later},
        "touch": {"first_human_at": row["first_human_at"] or later},
        "heal": {"healed_at": later},
        "resolve": {"status": "resolved", "resolved_at": row["resolved_at"] or later},
        "severity": {"severity": step.value},
        "team": {"team": step.value},
        "title": {"title": step.value},
    }
    session.execute(
        update(Incident).where(Incident.id == own_id).values(**changes[step.do]),
        execution_options={"synchronize_session": False},
    )


def facts_of(row: dict[str, Any]) -> Iterator[tuple[str, date, str, float]]:
    """Metric, day, severity and seconds of what happened to an incident, said plainly."""
    human = row["first_human_at"]
    if human and row["resolved_at"] and human > row["resolved_at"]:
        human = None
    for metric, at in (
        ("opened", row["opened_at"]), ("acknowledged", row["acknowledged_at"] or human),
        ("resolved", row["resolved_at"]), ("healed", row["healed_at"]),
    ):  # fmt: skip
        if at:
            yield metric, at.date(), row["severity"], (at - row["opened_at"]).total_seconds()


def assert_durations(found: Durations, seconds: list[float]) -> None:
    """The mean to the microsecond, the percentiles within their error."""
    assert found.incidents == len(seconds)
    if not seconds:
        assert found == Durations()
        return
    assert found.mean == pytest.approx(sum(seconds) / len(seconds), abs=1e-6)
    for percent in PERCENTILES:
        true = max(seconds[-(-len(seconds) * percent // 100) - 1], SHORTEST)
        assert found.percentiles[percent] == pytest.approx(true, rel=RELATIVE_ERROR + 1e-9)


def test_what_is_added_up_leaves_the_queue_and_is_added_once(session: Session) -> None:
    for _ in range(7):
        take(session, Step("open", 0, START, "a"), [])
    assert [roll_up(session, 5), roll_up(session, 5), roll_up(session, 5)] == [5, 2, 0]
    assert session.scalar(select(func.count()).select_from(IncidentChange)) == 0
    daily = select(IncidentDaily.incidents).where(
        IncidentDaily.scope == "all", IncidentDaily.severity == "*", IncidentDaily.days == 1
    )
    assert session.scalars(daily).all() == [7]


def test_an_event_on_the_timeline_alone_is_no_change_of_figures(session: Session) -> None:
    take(session, Step("open", 0, START, "a"), [])
    session.execute(update(Incident).values(version=2, last_seq=1, updated_at=NOW, status="acknowledged"))
    assert session.scalar(select(func.count()).select_from(IncidentChange)) == 1


@pytest.mark.parametrize("days", [0, -1, 3661, 500_000])
def test_an_empty_or_endless_range_is_refused_by_name(session: Session, days: int) -> None:
    with pytest.raises(Invalid) as refused:
        read_summary(session, NOW - timedelta(days=days), NOW, Chosen(), NOW)
    assert [wrong.field for wrong in refused.value.fields] == ["since"]


def test_days_that_have_not_been_are_left_out(session: Session) -> None:
    summary = read_summary(session, NOW - timedelta(days=2), NOW + timedelta(days=9), Chosen(), NOW)
    assert (summary.first, summary.last) == (date(2026, 3, 23), date(2026, 3, 25))
    assert len(summary.days) == 3
