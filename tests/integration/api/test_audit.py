"""The audit log by the REST API: for administrators."""

import json

import pytest

from tests.integration.api.conftest import Ask, errors_of


@pytest.fixture
def done(ask: Ask, incident: str) -> str:
    """Three things that bob and root did, one after the other."""
    ask("bob", "PATCH", f"/incidents/{incident}", json={"severity": "low"})
    ask("root", "POST", "/teams", json={"name": "storage"})
    ask("bob", "PATCH", f"/incidents/{incident}", json={"status": "acknowledged"})
    return incident


def test_the_log_shows_who_changed_what_and_from_where(ask: Ask, done: str) -> None:
    newest, team, changed, _ = ask("root", "GET", "/audit").get_json()["items"]
    assert (newest["object"], newest["after"]["status"], team["action"]) == (done, "acknowledged", "team.created")
    assert (changed["before"], changed["after"]) == ({"severity": "high"}, {"severity": "low"})
    assert (changed["actor_kind"], changed["address"]) == ("token", "127.0.0.1")
    assert changed["actor"].startswith("bob (T-")


def test_the_log_is_filtered_and_read_a_page_at_a_time(ask: Ask, done: str) -> None:
    first = ask("root", "GET", f"/audit?kind=incident&object={done}&limit=2").get_json()
    rest = ask("root", "GET", f"/audit?kind=incident&object={done}&limit=2&cursor={first['next']}").get_json()
    actions = [entry["action"] for entry in first["items"] + rest["items"]]
    assert actions == ["incident.acknowledged", "incident.edited", "incident.created"]
    moment = first["items"][0]["at"]
    assert [entry["id"] for entry in ask("root", "GET", f"/audit?since={moment}").get_json()["items"]] == [
        first["items"][0]["id"]
    ]
    assert list(errors_of(ask("root", "GET", f"/audit?cursor={first['next']}"), 422)) == ["cursor"]


def test_the_export_has_the_same_entries_one_a_line(ask: Ask, done: str) -> None:
    answer = ask("root", "GET", "/audit/export?kind=incident")
    assert answer.mimetype == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines == ask("root", "GET", "/audit?kind=incident").get_json()["items"]
    assert ask("root", "GET", "/audit/export?kind=nothing").text == ""


@pytest.mark.parametrize("path", ["/audit", "/audit/export"])
@pytest.mark.parametrize("query", ["since=2026-03-01", "actor=%00", "user=bob", "kind=a&kind=b"])
def test_a_wrong_parameter_is_named(ask: Ask, path: str, query: str) -> None:
    assert query.partition("=")[0] in errors_of(ask("root", "GET", f"{path}?{query}"))
