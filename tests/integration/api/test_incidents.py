"""Incidents by the REST API: opening, reading, changing, permissions and errors."""

from datetime import timedelta

import pytest
from sqlalchemy import Integer, cast, func, select, update

from ims.audit.models import AuditEntry
from ims.core.db.engine import Database
from ims.core.principal import Scope
from ims.incidents import search as words
from ims.incidents.models import Incident
from tests.integration.api.conftest import Ask, errors_of

OPENING = {"title": "Backups are late", "severity": "medium"}


def test_a_service_brings_what_the_opener_did_not_say(ask: Ask) -> None:
    answer = ask("bob", "POST", "/incidents", json={**OPENING, "service": "checkout"})
    assert answer.status_code == 201
    shown = answer.get_json()
    assert answer.headers["Location"] == f"/api/v1/incidents/{shown['incident']}"
    assert (shown["environment"], shown["team"], shown["status"]) == ("production", "payments", "open")
    assert shown["runbook_url"] == "https://wiki.example.org/runbooks/checkout"
    assert shown["allowed"] == ["acknowledged", "resolved"]
    whole = ask("victor", "GET", f"/incidents/{shown['incident']}", scope=Scope.READ)
    assert whole.get_json()["timeline"][0]["actor"].startswith("bob (T-")


def test_an_incident_is_read_with_all_that_belongs_to_it(ask: Ask, incident: str) -> None:
    ask("alice", "PATCH", f"/incidents/{incident}", json={"note": "Looking *at* it."})
    whole = ask("charlie", "GET", f"/incidents/{incident}").get_json()
    assert [note["text"] for note in whole["notes"]] == ["Looking *at* it."]
    assert [event["kind"] for event in whole["timeline"]] == ["incident_opened", "note"]
    assert (whole["alerts"], whole["runs"], whole["denials"]) == ([], [], [])


def test_an_incident_is_not_assigned_to_an_unknown_account(ask: Ask, incident: str) -> None:
    body = {"team": "paymnets", "assignee": "mallory", "note": "Yours."}
    for refused in (
        ask("bob", "PATCH", f"/incidents/{incident}", json=body),
        ask("bob", "POST", "/incidents", json={**OPENING, "team": "paymnets", "assignee": "mallory"}),
    ):
        assert sorted(errors_of(refused, 422)) == ["assignee", "team"]
    whole = ask("bob", "GET", f"/incidents/{incident}").get_json()
    assert (whole["team"], whole["notes"]) == ("payments", [])


def test_changes_are_made_together_or_not_at_all(ask: Ask, incident: str) -> None:
    ask("root", "POST", "/teams", json={"name": "search"})
    body = {"status": "acknowledged", "severity": "critical", "team": "search", "note": "It is worse."}
    shown = ask("alice", "PATCH", f"/incidents/{incident}", json=body).get_json()
    assert (shown["status"], shown["severity"], shown["team"]) == ("acknowledged", "critical", "search")
    refused = ask("alice", "PATCH", f"/incidents/{incident}", json={"status": "acknowledged", "note": "Again."})
    assert refused.status_code == 409
    problem = refused.get_json()
    assert (problem["incident_status"], problem["allowed"]) == ("acknowledged", ["in_progress", "resolved"])
    notes = ask("alice", "GET", f"/incidents/{incident}").get_json()["notes"]
    assert [note["text"] for note in notes] == ["It is worse."]


def test_nothing_leaves_resolved(ask: Ask, incident: str) -> None:
    assert ask("bob", "PATCH", f"/incidents/{incident}", json={"status": "resolved"}).status_code == 200
    for status in ("open", "acknowledged", "in_progress", "resolved"):
        answer = ask("bob", "PATCH", f"/incidents/{incident}", json={"status": status})
        assert (answer.status_code, answer.get_json()["allowed"]) == (409, [])


def test_a_stale_change_is_rejected(ask: Ask, incident: str) -> None:
    first = ask("alice", "GET", f"/incidents/{incident}")
    etag = first.headers["ETag"]
    assert ask("alice", "GET", f"/incidents/{incident}", headers={"If-None-Match": etag}).status_code == 304
    changed = ask("alice", "PATCH", f"/incidents/{incident}", json={"title": "x"}, headers={"If-Match": etag})
    assert changed.status_code == 200
    again = ask("bob", "PATCH", f"/incidents/{incident}", json={"title": "y"}, headers={"If-Match": etag})
    assert again.status_code == 412
    assert ask("bob", "GET", f"/incidents/{incident}").get_json()["title"] == "x"
    with_new = {"If-Match": f"W/{changed.headers['ETag']}"}
    assert ask("bob", "PATCH", f"/incidents/{incident}", json={"title": "y"}, headers=with_new).status_code == 200


def test_a_wrong_precondition_names_the_header(ask: Ask, incident: str) -> None:
    answer = ask("bob", "PATCH", f"/incidents/{incident}", json={"title": "y"}, headers={"If-Match": "yesterday"})
    assert list(errors_of(answer)) == ["If-Match"]


def test_an_idempotency_key_opens_one_incident(ask: Ask) -> None:
    key = {"Idempotency-Key": "backup-1"}
    first = ask("bob", "POST", "/incidents", json=OPENING, headers=key)
    again = ask("bob", "POST", "/incidents", json=OPENING, headers=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.get_json()["id"] == again.get_json()["id"]
    other = ask("bob", "POST", "/incidents", json={**OPENING, "title": "Another"}, headers=key)
    assert other.status_code == 422
    of_alice = ask("alice", "POST", "/incidents", json=OPENING, headers=key)
    assert (of_alice.status_code, of_alice.get_json()["id"] == first.get_json()["id"]) == (201, False)


def test_a_list_is_filtered_and_goes_on_where_it_ended(ask: Ask) -> None:
    ask("root", "POST", "/teams", json={"name": "storage"})
    for number in range(5):
        ask("bob", "POST", "/incidents", json={**OPENING, "title": f"Disk {number}", "team": "storage"})
    ask("bob", "POST", "/incidents", json={**OPENING, "title": "Other"})
    first = ask("victor", "GET", "/incidents?team=storage&limit=2").get_json()
    rest = ask("victor", "GET", f"/incidents?team=storage&limit=200&cursor={first['next']}").get_json()
    assert [one["title"] for one in first["items"] + rest["items"]] == [f"Disk {n}" for n in (4, 3, 2, 1, 0)]
    assert rest["next"] is None
    foreign = ask("victor", "GET", f"/incidents?team=other&cursor={first['next']}")
    assert list(errors_of(foreign, 422)) == ["cursor"]


def test_a_search_that_stopped_before_the_page_was_full_has_a_next_one(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    monkeypatch.setattr(words, "affordable_days", lambda *_given, **_more: 1)
    monkeypatch.setattr(words, "WALK_ROWS", 1)
    monkeypatch.setattr(words, "WALK_ON_ROWS", 1)
    for number in range(3):
        ask("bob", "POST", "/incidents", json={**OPENING, "title": f"Disk {number}"})
    with database.begin() as session:
        session.execute(
            update(Incident).values(opened_at=Incident.opened_at - timedelta(days=3) * (2 - cast(
                func.right(Incident.title, 1), Integer
            ))).where(Incident.title.like("Disk _"))
        )  # fmt: skip
    pages = [ask("victor", "GET", "/incidents?search=disk&limit=10").get_json()]
    while (cursor := pages[-1]["next"]) and len(pages) < 20:
        pages.append(ask("victor", "GET", f"/incidents?search=disk&limit=10&cursor={cursor}").get_json())
    assert [one["title"] for page in pages for one in page["items"]] == ["Disk 2", "Disk 1", "Disk 0"]
    assert 1 < len(pages) < 20


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("statuss=open", "statuss"),
        ("status=closed", "status.0"),
        ("limit=0", "limit"),
        ("limit=1e3", "limit"),
        ("limit=5&limit=6", "limit"),
        ("since=yesterday", "since"),
        ("since=2026-03-01T00:00:00", "since"),
        ("severity=worst", "severity"),
        ("sort=best", "sort"),
        ("team=%00", "team"),
    ],
)
def test_a_wrong_parameter_is_named(ask: Ask, query: str, field: str) -> None:
    errors = errors_of(ask("victor", "GET", f"/incidents?{query}"))
    assert list(errors) == [field]


def test_a_typing_mistake_is_answered_with_what_was_meant(ask: Ask, incident: str) -> None:
    errors = errors_of(ask("bob", "PATCH", f"/incidents/{incident}", json={"stauts": "resolved"}))
    assert errors == {"stauts": "is not known: did you mean status?"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"nonsense", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'{"title": 5, "severity": "high"}', 400),
        (b'{"title": "\\u0000", "severity": "high"}', 400),
        (b'{"title": "\\ud800", "severity": "high"}', 400),
        (b'{"title": "  ", "severity": "high"}', 400),
        (b'{"title": "x", "severity": "high", "assignee": "mallory"}', 422),
        (b"[" * 100_000, 413),
        (b'{"title": "' + b"x" * 2_000_000 + b'"}', 413),
    ],
)
def test_invalid_input_is_rejected_with_a_message(ask: Ask, body: bytes, status: int) -> None:
    answer = ask("bob", "POST", "/incidents", data=body, content_type="application/json")
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")


def test_a_form_is_no_json(ask: Ask) -> None:
    assert ask("bob", "POST", "/incidents", data=OPENING).status_code == 415


def test_metrics_of_an_incident_are_seconds(ask: Ask, incident: str) -> None:
    before = ask("bob", "GET", f"/incidents/{incident}/metrics").get_json()
    assert before == {"incident": incident, "time_to_acknowledge": None, "time_to_heal": None, "time_to_resolve": None}
    ask("bob", "PATCH", f"/incidents/{incident}", json={"status": "acknowledged"})
    after = ask("bob", "GET", f"/incidents/{incident}/metrics").get_json()
    assert 0 <= after["time_to_acknowledge"] < 60


def test_a_timeline_is_read_in_parts(ask: Ask, incident: str) -> None:
    for number in range(4):
        ask("bob", "PATCH", f"/incidents/{incident}", json={"note": f"Note {number}"})
    first = ask("bob", "GET", f"/incidents/{incident}/timeline?limit=3").get_json()
    rest = ask("bob", "GET", f"/incidents/{incident}/timeline?after={first['next']}").get_json()
    assert [event["seq"] for event in first["items"] + rest["items"]] == [1, 2, 3, 4, 5]
    assert rest["next"] is None


@pytest.mark.parametrize("reference", ["INC-9999", "0", "INC-", "x", "%00", "9" * 40, "../users"])
def test_an_unknown_incident_is_not_found(ask: Ask, reference: str) -> None:
    assert ask("bob", "GET", f"/incidents/{reference}").status_code == 404


@pytest.mark.parametrize(
    ("name", "status"), [("alice", 200), ("bob", 200), ("root", 200), ("charlie", 403), ("victor", 403), (None, 401)]
)
def test_only_its_own_people_change_an_incident(ask: Ask, incident: str, name: str | None, status: int) -> None:
    answer = ask(name, "PATCH", f"/incidents/{incident}", json={"note": "Was here."})
    assert answer.status_code == status


@pytest.mark.parametrize(("scope", "status"), [(Scope.READ, 403), (Scope.WRITE, 200), (Scope.ADMIN, 200)])
def test_a_token_does_what_it_was_made_for(ask: Ask, incident: str, scope: Scope, status: int) -> None:
    answer = ask("bob", "PATCH", f"/incidents/{incident}", json={"note": "Was here."}, scope=scope)
    assert answer.status_code == status
    assert ask("bob", "GET", f"/incidents/{incident}", scope=scope).status_code == 200


@pytest.mark.parametrize("authorization", ["Bearer ims_wrong", "Bearer ", "Basic Ym9iOmJvYg==", "bearer", "\xff"])
def test_a_wrong_token_is_unauthenticated(ask: Ask, authorization: str) -> None:
    answer = ask(None, "GET", "/incidents", headers={"Authorization": authorization})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_several_changes_in_one_request_leave_the_same_entries_and_events_as_separate_ones(
    ask: Ask, incident: str, database: Database
) -> None:
    ask("bob", "PATCH", f"/incidents/{incident}", json={"severity": "low", "note": "x", "status": "acknowledged"})
    with database.begin() as session:
        entries = session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()
    assert entries == ["incident.created", "incident.edited", "incident.noted", "incident.acknowledged"]
    shown = ask("bob", "GET", f"/incidents/{incident}/timeline").get_json()["items"]
    assert [event["kind"] for event in shown] == ["incident_opened", "edited", "note", "acknowledged"]


def test_what_changes_an_incident_is_audited(ask: Ask, incident: str, database: Database) -> None:
    ask("bob", "PATCH", f"/incidents/{incident}", json={"severity": "low"})
    with database.begin() as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert [entry.action for entry in entries] == ["incident.created", "incident.edited"]
    changed = entries[-1]
    assert (changed.object, changed.address, changed.actor_kind) == (incident, "127.0.0.1", "token")
    assert changed.before is not None
    assert changed.after is not None
    assert (changed.before["severity"], changed.after["severity"]) == ("high", "low")
