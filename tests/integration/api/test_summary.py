"""Statistics by the REST API."""

from datetime import timedelta

import pytest

from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.runs.models import RunOutcome
from tests.integration.api.conftest import Ask, errors_of
from tests.support.history import Tale


def test_a_range_of_days_is_summed_up(ask: Ask, database: Database) -> None:
    began = utc_now() - timedelta(days=2)
    with database.begin() as session:
        tale = Tale(session, began, "checkout", "checkout is down")
        tale.run(1, 5, RunOutcome.HEALED, verify=4)
        tale.clear(20)
        Tale(session, began, "search", "search is slow", severity="low")
    shown = ask("victor", "GET", "/incidents/stats/summary").get_json()
    assert shown["counts"] == {"opened": 2, "acknowledged": 0, "resolved": 1, "healed": 1}
    assert shown["by_severity"]["low"]["opened"] == 1
    assert (shown["to_heal"]["incidents"], shown["to_heal"]["mean"]) == (1, 10.0)
    assert shown["to_resolve"]["p95"] == pytest.approx(20, rel=0.05)
    assert sum(day["opened"] for day in shown["days"]) == 2
    of_checkout = ask("victor", "GET", "/incidents/stats/summary?service=checkout&severity=critical").get_json()
    assert of_checkout["counts"]["opened"] == 1
    day = began.date().isoformat()
    only = ask("victor", "GET", f"/incidents/stats/summary?since={day}T00:00:00Z&until={day}T23:59:59Z").get_json()
    assert (only["first"], only["last"], len(only["days"])) == (day, day, 1)


@pytest.mark.parametrize(
    ("query", "field", "status"),
    [
        ("since=2026-03-02T00:00:00Z&until=2026-03-01T00:00:00Z", "since", 422),
        ("since=0001-01-01T00:00:00Z", "since", 422),
        ("until=0001-01-01T00:00:00Z", "since", 422),
        ("since=2999-01-01T00:00:00Z", "since", 422),
        ("since=today", "since", 400),
        ("severity=worst", "severity", 400),
        ("team=%00", "team", 400),
        ("assignee=bob", "assignee", 400),
    ],
)
def test_a_wrong_range_is_named(ask: Ask, query: str, field: str, status: int) -> None:
    assert field in errors_of(ask("victor", "GET", f"/incidents/stats/summary?{query}"), status)
