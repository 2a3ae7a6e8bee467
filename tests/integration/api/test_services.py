"""Services by the REST API: what the inventory says, and how they are now."""

from datetime import timedelta

import pytest

from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.runs.models import RunOutcome
from ims.sources.models import Source
from tests.integration.api.conftest import Ask, errors_of
from tests.support.history import Tale


def test_a_service_is_what_the_inventory_says_and_how_it_is_now(ask: Ask, database: Database) -> None:
    before = ask("victor", "GET", "/services/checkout").get_json()
    assert (before["team"], before["environment"], before["recovery"]) == ("payments", "production", "ims")
    assert (before["state"], before["incidents"], before["run"]) == ("healthy", [], None)
    with database.begin() as session:
        tale = Tale(session, utc_now() - timedelta(minutes=1), "checkout", "checkout is down")
        number = tale.incident.number
    firing = ask("victor", "GET", "/services/checkout").get_json()
    assert (firing["state"], firing["incidents"], firing["unresolved"]) == ("firing", [f"INC-{number}"], 1)
    with database.begin() as session:
        tale.session = session
        session.add_all([tale.incident, tale.episode])
        run = tale.run(1, 1, RunOutcome.RUNNING).number
    healing = ask("victor", "GET", "/services/checkout").get_json()
    assert (healing["state"], healing["run"]) == ("healing", f"R-{run}")


def test_a_service_is_unknown_when_every_source_is_stale(ask: Ask, database: Database) -> None:
    with database.begin() as session:
        session.get_one(Source, "alertmanager").stale_since = utc_now()
    assert ask("victor", "GET", "/services/checkout").get_json()["state"] == "unknown"


def test_services_are_filtered_and_listed_a_page_at_a_time(ask: Ask) -> None:
    first = ask("bob", "GET", "/services?environment=production&limit=3").get_json()
    rest = ask("bob", "GET", f"/services?environment=production&cursor={first['next']}").get_json()
    assert [one["name"] for one in first["items"] + rest["items"]] == ["checkout", "ims-web", "mailer", "search"]
    assert [one["name"] for one in ask("bob", "GET", "/services?team=payments").get_json()["items"]] == ["checkout"]
    assert ask("bob", "GET", "/services?state=firing").get_json()["items"] == []


@pytest.mark.parametrize("query", ["state=bad", "limit=x", "team=%00", "name=checkout"])
def test_a_wrong_parameter_is_named(ask: Ask, query: str) -> None:
    assert query.partition("=")[0] in errors_of(ask("victor", "GET", f"/services?{query}"))


@pytest.mark.parametrize("name", ["nothing", "%00", "Checkout", "x" * 300])
def test_an_unknown_service_is_not_found(ask: Ask, name: str) -> None:
    assert ask("bob", "GET", f"/services/{name}").status_code == 404
