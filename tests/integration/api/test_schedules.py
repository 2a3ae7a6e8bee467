"""On-call schedules by the REST API: read, overridden, swapped."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import select

from ims.audit.models import AuditEntry
from ims.core.db.engine import Database
from tests.integration.api.conftest import Ask, errors_of

SHIFTS = "/schedules/payments?since=2030-12-16T08:00:00Z&until=2030-12-30T08:00:00Z"
WEEKS = ("2030-12-16T08:00:00Z", "2030-12-23T08:00:00Z", "2030-12-30T08:00:00Z")
HOLIDAY = {"person": "charlie", "from": "2030-12-24T08:00:00Z", "to": "2030-12-26T08:00:00+01:00", "reason": "Holidays"}


def shown(answer: Any) -> list[tuple[str | None, str, str]]:
    assert answer.status_code == 200
    found = answer.get_json()["shifts"]
    assert all(one["ends"] == following["begins"] for one, following in pairwise(found))
    return [(one["person"], one["begins"], one["ends"]) for one in found]


def test_schedules_are_listed_and_shown_with_shifts(ask: Ask) -> None:
    listed = ask("victor", "GET", "/schedules").get_json()["items"]
    assert [(one["name"], one["team"], one["people"]) for one in listed] == [
        ("discovery", "discovery", ["alice"]), ("payments", "payments", ["alice", "bob"]),
    ]  # fmt: skip
    page = ask("victor", "GET", "/schedules?limit=1").get_json()
    assert [one["name"] for one in ask("victor", "GET", f"/schedules?cursor={page['next']}").get_json()["items"]] == [
        "payments"
    ]
    (first, second) = shown(ask("victor", "GET", SHIFTS))
    assert {first[0], second[0]} == {"alice", "bob"}
    assert (first[1:], second[1:]) == (WEEKS[:2], WEEKS[1:])
    days = ask("victor", "GET", "/schedules/discovery?since=2030-12-17T00:00:00Z&until=2030-12-19T00:00:00Z")
    assert [person for person, _, _ in shown(days)] == ["alice", None, "alice", None]


def test_the_next_28_days_are_shown_unless_asked_otherwise(ask: Ask) -> None:
    found = shown(ask("victor", "GET", "/schedules/payments"))
    begins, ends = datetime.fromisoformat(found[0][1]), datetime.fromisoformat(found[-1][2])
    assert ends - begins == timedelta(days=28)
    assert abs(begins - datetime.now(UTC)) < timedelta(minutes=1)


def test_who_is_on_call_now_is_shown_by_team(ask: Ask) -> None:
    (current,) = ask("victor", "GET", "/oncall/current?team=payments").get_json()["items"]
    assert (current["schedule"], current["override"]) == ("payments", None)
    assert {current["person"], current["following"]["person"]} == {"alice", "bob"}
    assert current["following"]["begins"] == current["ends"]
    assert len(ask("victor", "GET", "/oncall/current").get_json()["items"]) == 2
    assert ask("victor", "GET", "/oncall/current?team=gone").get_json()["items"] == []
    now = datetime.now(UTC)
    body = {"person": "charlie", "to": (now + timedelta(hours=1)).isoformat()}
    added = ask("bob", "POST", "/schedules/payments/overrides", json=body).get_json()
    (current,) = ask("victor", "GET", "/oncall/current?team=payments").get_json()["items"]
    assert (current["person"], current["override"]) == ("charlie", added["id"])
    assert current["ends"] == added["to"]
    # It ends now, and its past stays.
    assert ask("bob", "DELETE", f"/schedules/payments/overrides/{added['id']}").status_code == 204
    (current,) = ask("victor", "GET", "/oncall/current?team=payments").get_json()["items"]
    assert current["override"] is None
    assert ask("bob", "DELETE", f"/schedules/payments/overrides/{added['id']}").status_code == 404


def test_an_override_takes_precedence_until_it_is_cancelled_and_all_is_audited(ask: Ask, database: Database) -> None:
    planned = shown(ask("victor", "GET", SHIFTS))
    answer = ask("bob", "POST", "/schedules/payments/overrides", json=HOLIDAY)
    added = answer.get_json()
    assert (answer.status_code, added["person"], added["reason"]) == (201, "charlie", "Holidays")
    assert added["actor"].startswith("bob (T-")
    assert shown(ask("victor", "GET", SHIFTS)) == [
        planned[0],
        (planned[1][0], WEEKS[1], "2030-12-24T08:00:00Z"),
        ("charlie", "2030-12-24T08:00:00Z", "2030-12-26T07:00:00Z"),
        (planned[1][0], "2030-12-26T07:00:00Z", WEEKS[2]),
    ]
    assert ask("victor", "GET", SHIFTS).get_json()["overrides"] == [added]
    assert ask("bob", "DELETE", f"/schedules/payments/overrides/{added['id']}").status_code == 204
    assert shown(ask("victor", "GET", SHIFTS)) == planned
    with database.begin() as session:
        entries = session.scalars(
            select(AuditEntry).where(AuditEntry.object_kind == "schedule").order_by(AuditEntry.id)
        ).all()
        assert [(entry.action, entry.object) for entry in entries] == [
            ("schedule.overridden", "payments"), ("schedule.override_cancelled", "payments"),
        ]  # fmt: skip
        assert entries[0].after == entries[1].before


def test_two_people_swap_their_shifts(ask: Ask) -> None:
    planned = shown(ask("victor", "GET", SHIFTS))
    body = {"first": "2030-12-17T00:00:00Z", "second": "2030-12-24T00:00:00Z"}
    answer = ask("bob", "POST", "/schedules/payments/swaps", json=body)
    assert answer.status_code == 201
    made = answer.get_json()["overrides"]
    assert [(one["person"], one["swapped_with"]) for one in made] == [
        (planned[1][0], planned[0][0]), (planned[0][0], planned[1][0]),
    ]  # fmt: skip
    assert [person for person, _, _ in shown(ask("victor", "GET", SHIFTS))] == [planned[1][0], planned[0][0]]
    # Swapping again brings the plan back.
    ask("bob", "POST", "/schedules/payments/swaps", json=body)
    assert shown(ask("victor", "GET", SHIFTS)) == planned


def test_only_the_team_and_administrators_override(ask: Ask) -> None:
    for person, status in (("alice", 403), ("charlie", 403), ("victor", 403), ("bob", 201), ("root", 201)):
        assert ask(person, "POST", "/schedules/payments/overrides", json=HOLIDAY).status_code == status, person


def test_what_is_wrong_is_named(ask: Ask) -> None:
    def wrong(given: Any, status: int = 422, path: str = "overrides") -> dict[str, str]:
        return errors_of(ask("root", "POST", f"/schedules/payments/{path}", json=given), status)

    past = {"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}
    assert wrong({**HOLIDAY, "person": "nobody"}) == {"person": "is not an account that may sign in"}
    assert wrong({**HOLIDAY, **past}) == {"to": "is in the past"}
    assert wrong({**HOLIDAY, "to": HOLIDAY["from"]}) == {"to": "must be later than `from`"}
    assert "at most 92 days after" in wrong({**HOLIDAY, "to": "2031-12-24T08:00:00Z"})["to"]
    far = {"from": "2199-01-01T00:00:00Z", "to": "2199-01-02T00:00:00Z"}
    assert "days ahead" in wrong({**HOLIDAY, **far})["to"]
    assert set(wrong({"person": "Bob B", "to": "soon"}, 400)) == {"person", "to"}
    assert set(wrong({"first": far["from"], "second": HOLIDAY["from"]}, path="swaps")) == {"first"}
    for query, field in (("until=2020-01-01T00:00:00Z", "until"), ("since=9999-01-01T00:00:00Z", "since")):
        assert list(errors_of(ask("root", "GET", f"/schedules/payments?{query}"), 422)) == [field]
    assert ask("root", "GET", "/schedules/gone").status_code == 404


def test_a_swap_needs_two_people_who_are_on_call(ask: Ask) -> None:
    def refused(schedule: str, first: str, second: str) -> str:
        answer = ask("root", "POST", f"/schedules/{schedule}/swaps", json={"first": first, "second": second})
        assert answer.status_code == 409
        return str(answer.get_json()["detail"])

    week, over = "2030-12-17T00:00:00Z", "2026-01-06T00:00:00Z"
    assert "Both shifts are" in refused("payments", week, week)
    assert "is over" in refused("payments", over, week)
    assert "Nobody is on call at" in refused("discovery", "2030-12-17T20:00:00Z", week)
