"""The audit log: it cannot be rewritten, filters find entries, and only retention removes old entries."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from psycopg.errors import CheckViolation, InsufficientPrivilege
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from ims.audit import queries
from ims.audit.inputs import read_filters
from ims.audit.log import differences, record
from ims.audit.models import AuditEntry
from ims.audit.queries import Filters, exported, list_entries
from ims.audit.wording import changes_of
from ims.cli.main import main
from ims.core.actors import Actor, ActorKind
from ims.core.context import Origin
from ims.core.db.engine import Database
from ims.core.errors import Invalid
from ims.retention.queries import Kept, expected, oldest_kept
from ims.retention.removal import remove_audit_entries, steps
from tests.support.context import ALICE, by, by_command
from tests.support.notifications import NOW

BOB = Actor(ActorKind.TOKEN, "bob (T-3)")


@pytest.fixture
def written(session: Session) -> Session:
    record(by(session, ALICE, NOW), "user.disabled", "bob", after={"n": 0})
    elsewhere = replace(by(session, BOB, NOW + timedelta(hours=1)), origin=Origin("198.51.100.4"))
    record(elsewhere, "incident.edited", "INC-1", after={"n": 1})
    record(by_command(session, NOW + timedelta(hours=2)), "user.enabled", "bob", after={"n": 2})
    session.flush()
    return session


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, [2, 1, 0]),
        ({"actor": "alice"}, [0]),
        ({"actor": "bob (T-3)"}, [1]),
        ({"kind": "user"}, [2, 0]),
        ({"kind": "user", "object": "bob", "action": "user.enabled"}, [2]),
        ({"address": "198.51.100.4"}, [1]),
        ({"since": (NOW + timedelta(hours=1)).isoformat()}, [2, 1]),
        ({"until": (NOW + timedelta(hours=1)).isoformat()}, [0]),
        ({"actor": "charlie"}, []),
    ],
)
def test_filters_find_entries(written: Session, filters: dict[str, str], found: list[int]) -> None:
    assert [entry.after for entry in list_entries(written, read_filters(filters), 10)] == [{"n": n} for n in found]


def test_pages_follow_each_other_without_a_gap(written: Session) -> None:
    first = list_entries(written, Filters(), 2)
    assert [e.after for e in list_entries(written, Filters(), 2, first[-1].id)] == [{"n": 0}]


@pytest.mark.parametrize(
    ("name", "value"),
    [("since", "yesterday"), ("until", "2026-02-30"), ("since", "0001-01-01T00:00:00+23:00"), ("actor", "a\0"),
     ("object", "x" * 201), ("kind", "\ud800")],
)  # fmt: skip
def test_a_wrong_filter_is_named(name: str, value: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_filters({name: value})
    assert [wrong.field for wrong in refused.value.fields] == [name]


def test_a_change_shows_the_fields_that_differ_as_text(written: Session) -> None:
    before, after = differences(
        {"role": "viewer", "email": "a", "teams": []}, {"role": "admin", "email": "a", "x": True}
    )
    assert (before, after) == ({"role": "viewer", "teams": [], "x": None}, {"role": "admin", "teams": None, "x": True})
    entry = AuditEntry(before=before, after=after)
    assert [(one.name, one.before, one.after) for one in changes_of(entry)] == [
        ("role", "viewer", "admin"), ("teams", None, None), ("x", None, "yes"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET actor = 'nobody'",
        "UPDATE audit_entry SET at = at - interval '1 year'",
        "DELETE FROM audit_entry",
        "TRUNCATE audit_entry",
        "SELECT id FROM audit_entry FOR UPDATE",
        "INSERT INTO audit_entry (id, at, actor_kind, actor, action, object_kind, object)"
        " SELECT id, at, 'x', 'x', 'x', 'x', 'x' FROM audit_entry ON CONFLICT (id) DO UPDATE SET actor = 'x'",
        "ALTER TABLE audit_entry DISABLE TRIGGER ALL",
        "DROP TABLE audit_entry",
    ],
)
def test_the_programs_cannot_rewrite_the_log(written: Session, statement: str) -> None:
    with pytest.raises(DBAPIError) as refused:
        written.execute(text(statement))
    assert isinstance(refused.value.orig, InsufficientPrivilege)


@pytest.mark.parametrize("days", ["NULL", "now()", "now() - interval '89 days'"])
def test_entries_younger_than_90_days_can_never_be_removed(written: Session, days: str) -> None:
    with pytest.raises(DBAPIError) as refused:
        written.execute(text(f"SELECT remove_old_audit_entries({days}, 10)"))
    assert isinstance(refused.value.orig, CheckViolation)


def test_retention_removes_what_is_old_in_small_steps_and_nothing_else(database: Database) -> None:
    with database.begin() as session:
        now: datetime = session.scalars(select(func.now())).one()
        for days in (500, 400, 366, 364, 1):
            record(by(session, ALICE, now - timedelta(days=days)), "user.changed", "bob", after={"days": days})
    with database.begin() as session:
        kept = oldest_kept(session, now)
        assert kept == Kept(now - timedelta(days=90), now - timedelta(days=365))
        assert expected(session, kept)["audit_entries"] == 3
        assert remove_audit_entries(session, kept.audit_since, limit=2) == 2
    assert [removed for removed in steps(database, kept) if "audit_entries" in removed] == [{"audit_entries": 1}]
    assert [entry.after for entry in exported(database, Filters())] == [{"days": 1}, {"days": 364}]


def test_an_export_is_read_in_small_transactions(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "EXPORTED_AT_ONCE", 10)
    with database.begin() as session:
        for number in range(25):
            record(by(session, ALICE, NOW), "user.changed", "bob", after={"n": number})
    entries = exported(database, Filters(actor="alice"))
    assert next(entries).after == {"n": 24}
    # Entries written meanwhile are not included.
    with database.begin() as session:
        record(by(session, ALICE, NOW), "user.changed", "bob", after={"n": 25})
    assert [entry.after for entry in entries] == [{"n": number} for number in range(23, -1, -1)]


def test_the_log_in_a_terminal(terminal: Database, capsys: pytest.CaptureFixture[str]) -> None:
    database = terminal

    def ims(*arguments: str) -> str:
        assert main(arguments) == 0
        return capsys.readouterr().out.strip()

    assert ims("audit", "list") == "No entries."
    with database.begin() as session:
        record(by(session, ALICE, NOW), "user.changed", "bob", before={"role": "viewer"}, after={"role": "admin"})
        record(by(session, BOB, NOW), "incident.noted", "INC-1", after={"note": "\x1b[2Jgone"})
    header, noted, changed = ims("audit", "list").splitlines()
    assert header.split()[0] == "ID"
    assert "\x1b" not in noted
    assert changed.endswith("role: viewer → admin")
    assert [one["action"] for one in json.loads(ims("audit", "list", "--actor", "alice", "--json"))] == ["user.changed"]
    assert [json.loads(line)["object"] for line in ims("audit", "export").splitlines()] == ["INC-1", "bob"]
    assert main(["audit", "list", "--since", "yesterday"]) == 2
    assert "--since: 'yesterday' is not a time" in capsys.readouterr().err
