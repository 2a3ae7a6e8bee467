"""Maintenance windows by the REST API: added, listed, ended, removed."""

from typing import Any

import pytest
from sqlalchemy import select

from ims.audit.models import AuditEntry
from ims.core.db.engine import Database
from tests.integration.api.conftest import Ask, errors_of

WINDOW = {"name": "upgrade", "services": ["checkout"], "seconds": 3600, "reason": "New disks"}


def test_a_window_begins_now_and_what_it_covers_is_in_maintenance(ask: Ask) -> None:
    answer = ask("charlie", "POST", "/maintenance-windows", json=WINDOW)
    assert (answer.status_code, answer.headers["Location"]) == (201, "/api/v1/maintenance-windows/upgrade")
    shown = answer.get_json()
    assert (shown["state"], shown["origin"], shown["services"]) == ("open", "command", ["checkout"])
    assert shown["actor"].startswith("charlie (T-")
    assert ask("victor", "GET", "/maintenance-windows/upgrade").get_json() == shown
    service = ask("victor", "GET", "/services/checkout").get_json()
    assert (service["state"], service["maintenance"]["window"]) == ("maintenance", "upgrade")
    assert ask("bob", "POST", "/maintenance-windows", json=WINDOW).status_code == 409


def test_a_window_recurs_on_the_clocks_of_its_zone(ask: Ask) -> None:
    body = {"name": "sundays", "match": {"alertname": {"regex": "Disk.*"}}, "from": "2026-03-01 02:00",
            "to": "2026-03-01 04:00", "timezone": "Europe/Berlin", "rrule": "FREQ=WEEKLY;BYDAY=SU"}  # fmt: skip
    shown = ask("bob", "POST", "/maintenance-windows", json=body).get_json()
    assert (shown["match"], shown["rrule"]) == ({"alertname": {"regex": "Disk.*"}}, "FREQ=WEEKLY;BYDAY=SU")
    assert (shown["from"], shown["timezone"]) == ("2026-03-01T02:00:00", "Europe/Berlin")


def test_windows_are_listed_by_name_a_page_at_a_time(ask: Ask) -> None:
    for name in ("b", "a", "a-2", "c"):
        ask("bob", "POST", "/maintenance-windows", json={**WINDOW, "name": name})
    ask("bob", "POST", "/maintenance-windows/b/end")
    first = ask("victor", "GET", "/maintenance-windows?state=open&limit=2").get_json()
    rest = ask("victor", "GET", f"/maintenance-windows?state=open&limit=2&cursor={first['next']}").get_json()
    assert [one["name"] for one in first["items"] + rest["items"]] == ["a", "a-2", "c"]
    assert [one["name"] for one in ask("victor", "GET", "/maintenance-windows?state=over").get_json()["items"]] == ["b"]
    assert list(errors_of(ask("victor", "GET", f"/maintenance-windows?cursor={first['next']}"), 422)) == ["cursor"]


def test_a_window_is_ended_once_and_removed_once_and_all_is_audited(ask: Ask, database: Database) -> None:
    ask("bob", "POST", "/maintenance-windows", json=WINDOW)
    assert ask("bob", "POST", "/maintenance-windows/upgrade/end").get_json()["state"] == "over"
    assert ask("bob", "POST", "/maintenance-windows/upgrade/end").status_code == 409
    assert ask("bob", "DELETE", "/maintenance-windows/upgrade").status_code == 204
    assert ask("bob", "DELETE", "/maintenance-windows/upgrade").status_code == 404
    with database.begin() as session:
        shown = session.execute(select(AuditEntry.action, AuditEntry.object).order_by(AuditEntry.id)).all()
    assert [tuple(one) for one in shown] == [
        (f"maintenance.{verb}", "upgrade") for verb in ("added", "ended", "removed")
    ]


@pytest.mark.parametrize(
    ("change", "field", "status"),
    [
        ({"services": ["nothing"]}, "services", 422),
        ({"services": []}, "body", 422),
        ({"groups": ["nothing"]}, "groups", 422),
        ({"to": "2026-03-01"}, "to", 422),
        ({"seconds": None}, "to", 422),
        ({"seconds": None, "to": "2020-01-01T00:00:00Z"}, "body", 422),
        ({"from": "9999-12-31"}, "from", 422),
        ({"from": "2026-02-30 02:00"}, "from", 422),
        ({"timezone": "Mars/Olympus"}, "timezone", 422),
        ({"timezone": "../etc/passwd"}, "timezone", 400),
        ({"rrule": "FREQ=NEVER"}, "body", 422),
        ({"match": {"alertname": {"regex": "("}}}, "match", 422),
        ({"match": {"alert name": "x"}}, "match", 400),
        ({"match": {"alertname": "\0"}}, "match", 400),
        ({"match": {"alertname": {"regex": 5}}}, "match", 400),
        ({"match": {"": []}}, "match", 400),
        ({"seconds": 1.5}, "seconds", 400),
        ({"seconds": True}, "seconds", 400),
        ({"reason": "\0"}, "reason", 400),
        ({"name": "an upgrade"}, "name", 400),
        ({"seconds": "3600"}, "seconds", 400),
        ({"seconds": 10**9}, "seconds", 400),
        ({"service": "checkout"}, "service", 400),
    ],
)
def test_what_makes_no_sense_is_named(ask: Ask, change: dict[str, Any], field: str, status: int) -> None:
    errors = errors_of(ask("bob", "POST", "/maintenance-windows", json={**WINDOW, **change}), status)
    assert any(named.split(".")[0] == field for named in errors), errors


def test_each_wrong_condition_is_named_as_it_was_written(ask: Ask) -> None:
    body = {**WINDOW, "seconds": 3600.0, "match": {"alertname": 5, "job": {"regex": 5}}}
    errors = errors_of(ask("bob", "POST", "/maintenance-windows", json=body))
    assert errors == {"match.alertname": "must be a string", "match.job.regex": "must be a string"}
