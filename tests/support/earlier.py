"""Installations of earlier commits: a database that the migrations of a commit made, with data in it.

The migrations are the text that the commit had, read from the history of this clone. The data is what that version
could have written: each row gets the columns that its table had.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from alembic import command
from alembic.config import Config
from argon2 import PasswordHasher
from psycopg import sql
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from ims.core.db.engine import owner_url
from ims.core.settings import Settings
from tests.support.installation import ROOT
from tests.support.postgres import PostgresServer

ENVIRONMENT = ROOT / "ims/core/db/migrations/env.py"
PASSWORD = "correct horse battery"
PEOPLE = {"alice": "admin", "bob": "responder"}
DIGEST = "5f1c6a0e9b7d42c38ab4d1e0f9c27b615f1c6a0e9b7d42c38ab4d1e0f9c27b61"
INCIDENT = UUID(int=1)
RUN = UUID(int=2)
KINDS = (
    "incident_opened", "alert_firing", "rule_allowed", "rule_refused", "run_started", "run_finished", "verified_well",
    "not_verified", "note", "alert_resolved", "resolved",
)  # fmt: skip

RENAMED = {
    "rule_refused": "rule_denied", "verified_well": "verification_passed", "not_verified": "verification_failed",
}  # fmt: skip
"""Kinds of events since 0009."""


def settings_for(settings: Settings, name: str) -> Settings:
    """The same server, another database."""
    urls = ("database_url", "database_owner_url")
    return settings.model_copy(update={url: f"{getattr(settings, url).rpartition('/')[0]}/{name}" for url in urls})


@contextmanager
def installation_of(
    commit: str, settings: Settings, postgres: PostgresServer, directory: Path, at: datetime
) -> Iterator[Settings]:
    """A database as that commit's `migrate` left it, with data; dropped at the end."""
    name = f"earlier_{commit}"
    postgres.execute(f"CREATE DATABASE {name} OWNER ims_owner")
    there = settings_for(settings, name)
    try:
        _migrate_as(commit, there, directory)
        with psycopg.connect(postgres.superuser_conninfo(name)) as connection:
            _fill(connection, at)
        yield there
    finally:
        postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _migrate_as(commit: str, settings: Settings, directory: Path) -> None:
    listed = _git("ls-tree", "-r", "--name-only", commit).splitlines()
    first = next(Path(one) for one in listed if one.endswith("versions/0001_first_schema.py"))
    (directory / "versions").mkdir()
    for one in listed:
        if Path(one).parent == first.parent and one.endswith(".py"):
            (directory / "versions" / Path(one).name).write_text(_git("show", f"{commit}:{one}"))
    # The earlier one imports modules that have moved since; it differs in nothing else.
    (directory / "env.py").write_text(ENVIRONMENT.read_text())
    config = Config()
    config.set_main_option("script_location", str(directory))
    engine = create_engine(owner_url(settings), poolclass=NullPool)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
    engine.dispose()


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def _fill(connection: psycopg.Connection[Any], at: datetime) -> None:
    """One of each: an incident that a run healed, its alert and timeline, people, a source, what could not be read."""
    has_new_words = connection.execute("SELECT to_regclass('dead_letter')").fetchone() != (None,)
    for table, row in _rows(at):
        if table == "timeline_event" and has_new_words:
            row["kind"] = RENAMED.get(row["kind"], row["kind"])
        _insert(connection, table, row)
    for sequence in ("incident_number_seq", "run_number_seq"):
        connection.execute(f"SELECT setval('{sequence}', 10)")  # type: ignore[call-overload]


def _rows(at: datetime) -> Iterator[tuple[str, dict[str, Any]]]:
    ended = at + timedelta(seconds=9)
    hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    for place, (name, role) in enumerate(PEOPLE.items()):
        yield "user_account", {
            "id": UUID(int=10 + place), "name": name, "role": role, "password_hash": hashed, "session_generation": 0,
            "created_at": at,
        }  # fmt: skip
    yield "team", {"name": "payments", "created_at": at}
    yield "membership", {"team": "payments", "user_id": UUID(int=11)}
    service = {"name": "shop", "service": "shop", "unit": "shop", "owner": "bob", "url": "http://shop.example.org/"}
    policy = {"inventory": "inventory/local", "services": {"shop": service}, "hosts": ["shop"], "healing_rules": []}
    yield "policy_snapshot", {
        "digest": DIGEST, "archive": b"", "policy": policy, "inventory": "inventory/local", "created_at": at,
    }  # fmt: skip
    yield "policy_activation", {"digest": DIGEST, "activated_at": at, "actor": "alice"}
    yield "source", {"name": "alertmanager", "kind": "alertmanager", "created_at": at, "last_notice_at": at,
                     "last_notification_at": at}  # fmt: skip
    yield "api_token", {"hash": b"0" * 32, "source": "alertmanager", "scopes": ["alerts"], "created_at": at}
    yield "incident", {
        "id": INCIDENT, "number": 1, "title": "shop is down", "description": "since 3 o'clock", "service": "shop",
        "environment": "default", "severity": "high", "status": "resolved", "labels": {"alertname": "ServiceDown"},
        "opened_at": at, "resolved_at": ended, "healed_at": ended, "updated_at": ended, "version": 1,
        "last_seq": len(KINDS),
    }  # fmt: skip
    labels = {"alertname": "ServiceDown", "service": "shop"}
    yield "alert", {
        "id": 1, "source": "alertmanager", "fingerprint": "f", "name": "ServiceDown", "service": "shop",
        "environment": "default", "severity": "high", "labels": labels, "annotations": {}, "first_seen_at": at,
        "last_seen_at": at,
    }  # fmt: skip
    yield "episode", {
        "id": 1, "alert_id": 1, "incident_id": INCIDENT, "opened_at": at, "last_notice_at": at, "notices": 1,
        "last_notification_at": at, "notifications": 1, "closed_at": ended, "sender_starts": [at],
    }  # fmt: skip
    yield "run", _run(at, ended)
    yield "verification", {"run_id": RUN, "status": "passed", "started_at": at, "ended_at": ended,
                           "healthy_since": ended}  # fmt: skip
    yield "run_event", {"run_id": RUN, "counter": 1, "at": at, "kind": "verbose", "stdout": "restarted", "data": {}}
    yield "refusal", {"incident_id": INCIDENT, "rule": "restart", "reason": "cooldown", "first_at": at, "last_at": at,
                      "count": 2}  # fmt: skip
    yield "decision", {
        "incident_id": INCIDENT, "episode_id": 1, "rule": "restart", "attempt": 1, "revision": DIGEST,
        "outcome": "waiting", "reason": "cooldown", "message": "Wait.", "facts": {}, "answers": "[]", "first_at": at,
        "last_at": at, "count": 2,
    }  # fmt: skip
    for table in ("rejected_alert", "dead_letter"):
        yield table, {"source": "alertmanager", "reason": "not_json", "body": "{", "details": {}, "received_at": at}
    for seq, kind in enumerate(KINDS, start=1):
        data = {"text": "Cleaned the journal.", "number": 1, "rule": "restart", "target": "shop", "alert": "Down"}
        yield "timeline_event", {"incident_id": INCIDENT, "seq": seq, "at": at, "kind": kind, "actor_kind": "person",
                                 "actor": "bob", "data": data}  # fmt: skip
    yield "audit_entry", {"at": at, "actor_kind": "person", "actor": "alice", "action": "user.created",
                          "object_kind": "user", "object": "bob"}  # fmt: skip


def _run(at: datetime, ended: datetime) -> dict[str, Any]:
    spec = {"version": 1, "kind": "heal", "playbook": "restart.yml", "target": "shop", "parameters": {},
            "mode": "apply", "timeout": 60, "lock_keys": ["shop"], "safe_to_repeat": False,
            "verification": {"url": None, "green_for": 3, "within": 60, "interval": 0.5}}  # fmt: skip
    return {
        "id": RUN, "number": 1, "kind": "heal", "status": "healed", "incident_id": INCIDENT, "episode_id": 1,
        "rule": "restart", "attempt": 1, "playbook": "restart.yml", "target": "shop", "revision": DIGEST,
        "parameters": {}, "fence": 1, "queued_at": at, "started_at": at, "finished_at": ended, "verified_at": ended,
        "first_green_at": ended, "ended_at": ended, "recap": {}, "spec": spec, "verification": "passed",
    }  # fmt: skip


def _insert(connection: psycopg.Connection[Any], table: str, row: Mapping[str, Any]) -> None:
    """Into the columns that the table has, if it is there at all."""
    columns = {
        name for (name,) in connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND table_schema = 'public'",
            [table],
        )
    }  # fmt: skip
    given = {name: json.dumps(one) if isinstance(one, dict) else one for name, one in row.items() if name in columns}
    if table == "run" and "spec" in columns:
        given["status"] = "succeeded"
    if given:
        connection.execute(
            sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, given)),
                sql.SQL(", ").join(sql.Placeholder() * len(given)),
            ),
            list(given.values()),
        )  # fmt: skip
