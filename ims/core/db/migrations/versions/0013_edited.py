"""Brings schemas of edited migrations to the present one.

Until 0009 the text of a migration could change after an installation had run it (0001 to 0003 did). Each step adds what
is missing and does nothing on a schema that has it. What is added is taken from the migration that has it today, since
from now on no migration changes: a test keeps their digests.
"""

import runpy
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import context, op

revision = "0013_edited"
down_revision = "0012_ended_sessions"


def upgrade() -> None:
    repaired = [
        sentence
        for sentence, step in (
            ("0001 lacked columns and tables of maintenance windows, flapping and heartbeats", _first_schema),
            ("0002_accounts lacked the lifetime of tokens", _lifetimes),
            ("0002_accounts lacked the removal of old audit entries", _removal_of_audit_entries),
            ("0003_scale lacked the present daily figures", _daily_figures),
            ("0003_scale had another way to find words", _words),
        )
        if step()
    ]
    # 0002_accounts made it at first; nothing reads it.
    op.execute("DROP INDEX IF EXISTS ix_idempotency_key_incident")
    context.config.attributes.setdefault("repaired", []).extend(repaired)


def _first_schema() -> bool:
    if all((_has("heartbeat", "name"), _has("incident", "flapping_since"), _has("episode", "missing_since"))):
        return False
    op.execute("ALTER TABLE episode ADD COLUMN IF NOT EXISTS missing_since timestamptz")
    op.execute("ALTER TABLE incident ADD COLUMN IF NOT EXISTS maintenance varchar")
    op.execute("ALTER TABLE incident ADD COLUMN IF NOT EXISTS flapping_since timestamptz")
    op.execute(
        "CREATE INDEX IF NOT EXISTS ix_incident_maintenance ON incident (id)"
        " WHERE maintenance IS NOT NULL AND status <> 'resolved'"
    )
    op.execute(_HEARTBEAT)
    op.execute(_MAINTENANCE_WINDOW)
    return True


_HEARTBEAT = """
    CREATE TABLE IF NOT EXISTS heartbeat (
        name varchar(128) NOT NULL CONSTRAINT pk_heartbeat PRIMARY KEY,
        known_at timestamptz NOT NULL,
        last_at timestamptz,
        last_source varchar(64),
        missed_since timestamptz
    )
"""
_MAINTENANCE_WINDOW = """
    CREATE TABLE IF NOT EXISTS maintenance_window (
        origin varchar(16) NOT NULL CONSTRAINT ck_maintenance_window_origin CHECK (origin IN ('command', 'inventory')),
        name varchar(128) NOT NULL,
        definition jsonb,
        ended_at timestamptz,
        actor varchar NOT NULL,
        changed_at timestamptz NOT NULL,
        CONSTRAINT ck_maintenance_window_definition CHECK ((origin = 'command') = (definition IS NOT NULL)),
        CONSTRAINT pk_maintenance_window PRIMARY KEY (origin, name)
    )
"""


def _lifetimes() -> bool:
    if _has("api_token", "lifetime"):
        return False
    op.add_column("api_token", sa.Column("lifetime", sa.Interval(), nullable=True))
    return True


def _removal_of_audit_entries() -> bool:
    if _has_function("remove_old_audit_entries"):
        return False
    _migration("0002_accounts")["_let_old_audit_entries_go"]()
    return True


def _daily_figures() -> bool:
    """They are made of incidents, so they are made again; a worker adds them up in steps, as after 0003."""
    if _has("incident_daily", "days"):
        return False
    op.execute("DROP TRIGGER IF EXISTS incident_recorded ON incident")
    op.execute("DROP TRIGGER IF EXISTS incident_change_recorded ON incident")
    op.execute("DROP FUNCTION IF EXISTS record_incident_change()")
    op.execute("DROP TABLE IF EXISTS incident_change, incident_daily")
    _migration("0003_scale")["_keep_changes"]()
    return True


def _words() -> bool:
    """Both functions, replaced; the words that they make are the same, so no row is written."""
    # Only the first text of both set a search path for searchable_words.
    has_path = op.get_bind().scalar(
        sa.text("SELECT proconfig IS NOT NULL FROM pg_proc WHERE oid = 'searchable_words'::regproc")
    )
    if not has_path:
        return False
    scale = _migration("0003_scale")
    for name in ("_SEARCHABLE_WORDS", "_INCIDENTS_WITH"):
        op.execute(scale[name].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1))
    return True


def _migration(name: str) -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).with_name(f"{name}.py")))


def _has(table: str, column: str) -> bool:
    found = op.get_bind().scalar(
        sa.text(
            "SELECT count(*) FROM pg_attribute"
            " WHERE attrelid = to_regclass(:table) AND attname = :column AND NOT attisdropped"
        ),
        {"table": f"public.{table}", "column": column},
    )
    return bool(found)


def _has_function(name: str) -> bool:
    found = op.get_bind().scalar(sa.text("SELECT count(*) FROM pg_proc WHERE proname = :name"), {"name": name})
    return bool(found)
