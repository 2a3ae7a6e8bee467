"""Decisions by the REST API: listed, filtered, read."""

from datetime import timedelta

import pytest

from ims.core.clock import utc_now
from ims.core.db.engine import Database
from tests.integration.api.conftest import Ask, errors_of
from tests.support.history import RULE, Tale


@pytest.fixture
def incidents(database: Database) -> list[str]:
    """Two incidents: of the first two decisions, of the second one."""
    with database.begin() as session:
        now = utc_now()
        down = Tale(session, now - timedelta(minutes=9), "checkout", "checkout is down")
        slow = Tale(session, now - timedelta(minutes=1), "search", "search is slow")
        for tale, at, reason in ((down, 1, "manual"), (slow, 2, "observe"), (down, 3, "mode_off")):
            tale.refuse(at, reason)
            session.flush()
        return [f"INC-{tale.incident.number}" for tale in (down, slow)]


def test_a_decision_shows_the_result_of_each_guard(ask: Ask, incidents: list[str]) -> None:
    (listed,) = ask("victor", "GET", "/decisions?reason=observe").get_json()["items"]
    assert (listed["incident"], listed["rule"], listed["outcome"]) == (incidents[1], RULE, "denied")
    assert [(said["guard"], said["answer"]) for said in listed["guards"]] == [("mode", "pass"), ("observe", "deny")]
    for name in (listed["decision"], listed["decision"].removeprefix("D-")):
        assert ask("victor", "GET", f"/decisions/{name}").get_json() == listed


def test_decisions_are_filtered_and_listed_a_page_at_a_time(ask: Ask, incidents: list[str]) -> None:
    first = ask("bob", "GET", "/decisions?limit=2").get_json()
    rest = ask("bob", "GET", f"/decisions?limit=2&cursor={first['next']}").get_json()
    reasons = [one["reason"] for one in first["items"] + rest["items"]]
    assert (reasons, rest["next"]) == (["mode_off", "observe", "manual"], None)
    at = first["items"][1]["first_at"].replace("+00:00", "Z")
    episode = rest["items"][0]["episode"]
    for query, found in {
        f"incident={incidents[0]}": ["mode_off", "manual"],
        f"incident={incidents[0]}&reason=manual": ["manual"],
        f"episode={episode}&outcome=denied": ["mode_off", "manual"],
        f"rule={RULE}&since={at}": ["observe"],
        f"until={at}": ["mode_off", "manual"],
        "outcome=allowed": [],
        "incident=INC-999999": [],
    }.items():
        shown = ask("bob", "GET", f"/decisions?{query}").get_json()["items"]
        assert [one["reason"] for one in shown] == found, query


def test_an_incident_shows_its_denials(ask: Ask, incidents: list[str]) -> None:
    whole = ask("victor", "GET", f"/incidents/{incidents[0]}").get_json()
    assert [(one["rule"], one["reason"], one["count"]) for one in whole["denials"]] == [
        (RULE, "manual", 1), (RULE, "mode_off", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("query", ["outcome=no", "incident=x", "episode=0", "limit=0", "since=x", "until=1", "kind=x"])
def test_a_wrong_parameter_is_named(ask: Ask, query: str) -> None:
    assert query.partition("=")[0] in errors_of(ask("victor", "GET", f"/decisions?{query}"))


@pytest.mark.parametrize("reference", ["D-999999", "D-0", "x", "%00", "9" * 30])
def test_an_unknown_decision_is_not_found(ask: Ask, reference: str) -> None:
    answer = ask("bob", "GET", f"/decisions/{reference}")
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")


def test_reading_needs_a_token(ask: Ask) -> None:
    assert ask(None, "GET", "/decisions").status_code == 401
