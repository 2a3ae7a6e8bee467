"""The list of incidents, and the statistics over it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from ims.incidents.models import Incident
from ims.incidents.queries import Filters, Sort, list_incidents
from ims.reports.statistics import count_by_status, read_statistics
from tests.support.shop import fill

NOW = datetime(2026, 3, 1, 3, 12, 7, tzinfo=UTC)


def add(session: Session, count: int, **values: object) -> None:
    """Incidents of one a minute, every third opened in the same moment as the one before."""
    for place in range(count):
        defaults = {
            "id": UUID(int=(place * 7919) % 10_007),
            "title": f"incident {place}",
            "severity": ("critical", "low")[place % 2],
            "service": ("checkout", "search", None)[place % 3],
            "environment": "production",
            "labels": {},
            "opened_at": NOW - timedelta(minutes=place - (place % 3 == 2)),
            "updated_at": NOW,
        }
        session.add(Incident(**(defaults | values)))
    session.flush()


@pytest.mark.parametrize("sort", list(Sort))
@pytest.mark.parametrize(
    "filters", [Filters(), Filters(service="checkout"), Filters(severity="low"), Filters(search="INCID 1")]
)
def test_pages_follow_each_other_without_gaps_or_repeats(session: Session, filters: Filters, sort: Sort) -> None:
    add(session, 40)
    whole = [row.id for row in list_incidents(session, filters, sort=sort, limit=100).rows]
    paged: list[UUID] = []
    after = None
    while True:
        page = list_incidents(session, filters, sort=sort, limit=7, after=after)
        paged += [row.id for row in page.rows]
        after = page.next
        if after is None:
            break
    assert paged == whole
    assert len(whole) == len(set(whole))
    assert whole


def test_an_incident_that_appears_meanwhile_moves_nothing_on_the_next_page(session: Session) -> None:
    add(session, 10)
    first = list_incidents(session, Filters(), limit=5)
    rest = [row.id for row in list_incidents(session, Filters(), limit=100).rows][5:]
    session.add(
        Incident(title="new", severity="low", environment="production", labels={}, opened_at=NOW, updated_at=NOW)
    )
    session.flush()
    assert [row.id for row in list_incidents(session, Filters(), limit=100, after=first.next).rows] == rest


@pytest.mark.parametrize("sort", list(Sort))
def test_a_page_far_into_the_list_is_served_by_its_index(session: Session, sort: Sort) -> None:
    add(session, 300)
    after = list_incidents(session, Filters(), sort=sort, limit=5).next
    executed: list[tuple[str, object]] = []

    def remember(_c: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        executed.append((statement, parameters))

    connection = session.connection()
    event.listen(connection, "before_cursor_execute", remember)
    list_incidents(session, Filters(), sort=sort, limit=5, after=after)
    event.remove(connection, "before_cursor_execute", remember)
    session.execute(text("SET LOCAL enable_seqscan = off"))
    (statement, parameters) = executed[0]
    plan = "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters))
    assert "ix_incident_opened_at" in plan
    assert "Index Cond" in plan


def test_the_statistics_of_a_night(session: Session) -> None:
    fill(session, NOW)
    statistics = read_statistics(session, NOW)
    assert (statistics.open, statistics.needing_attention, statistics.healing) == (4, 1, 1)
    assert statistics.healed == 5
    assert statistics.mtta.seconds
    assert statistics.mttr.seconds
    assert statistics.mttr.change
    assert count_by_status(session) == {"open": 3, "acknowledged": 1, "in_progress": 0, "resolved": 26}


def test_statistics_of_nothing_are_none_and_zero(session: Session) -> None:
    statistics = read_statistics(session, NOW)
    assert (statistics.open, statistics.healing, statistics.healed) == (0, 0, 0)
    assert statistics.mtta.seconds is None
    assert statistics.mttr.change is None
