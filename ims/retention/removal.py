"""The steps of retention. Each removes a few rows in the caller's transaction and waits for no other transaction.

An incident is removed as a whole: its runs with their logs, its episodes, its decisions, and then the incident itself
with its timeline. The programs' role has no permission for the last: the database function `remove_old_incidents` does
it, only for incidents that are resolved and old by their own timelines, completely or not at all. See the first
migration.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy import CursorResult, text
from sqlalchemy.orm import Session

from ims.core.db.engine import Database
from ims.incidents.transitions import forget_recurrence
from ims.retention.queries import OLD_INCIDENT, Kept

T = TypeVar("T")

INCIDENTS_A_STEP: Final = 20
ROWS_A_STEP: Final = 1000

Removed = dict[str, int]
"""How many rows of each kind were removed."""

_POLITE: Final = (
    # A removal that is lost in a crash is repeated, so these commits need not wait for the disk.
    text("SET LOCAL synchronous_commit = off"),
    # A locked row is in use: give up soon.
    text("SET LOCAL lock_timeout = '500ms'"),
)

_OLD = text(
    f"""
    SELECT id FROM incident WHERE {OLD_INCIDENT}
    ORDER BY resolved_at LIMIT :limit
    FOR UPDATE OF incident SKIP LOCKED
    """  # noqa: S608 - the text is ours
)
_OF_INCIDENTS: Final = {
    "decisions": text("DELETE FROM decision WHERE incident_id = ANY(:incidents)"),
    # Deletes their events, verifications and approvals, too.
    "runs": text(
        "DELETE FROM run WHERE incident_id = ANY(:incidents)"
        " OR episode_id IN (SELECT id FROM episode WHERE incident_id = ANY(:incidents))"
    ),
    "episodes": text("DELETE FROM episode WHERE incident_id = ANY(:incidents)"),
}
_REMOVE = text("SELECT remove_old_incidents(CAST(:incidents AS uuid[]), :before)")


def remove_incidents(session: Session, before: datetime, limit: int = INCIDENTS_A_STEP) -> Removed:
    """Remove up to `limit` incidents that were resolved before `before`, with everything that belongs to them."""
    _be_polite(session)
    incidents: list[UUID] = list(session.scalars(_OLD, {"before": before, "limit": limit}))
    if not incidents:
        return {}
    removed = {kind: _count(session, step, {"incidents": incidents}) for kind, step in _OF_INCIDENTS.items()}
    forget_recurrence(session, incidents)
    count = session.scalar(_REMOVE, {"incidents": incidents, "before": before})
    return {"incidents": int(count or 0), **removed}


# A concurrent notification changes last_seen_at, which PostgreSQL checks again before it deletes the row.
_ALERTS = text(
    """
    DELETE FROM alert WHERE id IN (
        SELECT id FROM alert
        WHERE id > :after AND id <= :until AND last_seen_at < :before
          AND NOT EXISTS (SELECT FROM episode WHERE alert_id = alert.id)
        FOR UPDATE SKIP LOCKED
    ) AND last_seen_at < :before
    """
)
_LAST_ALERT = text("SELECT coalesce(max(id), 0) FROM alert")


def remove_alerts(session: Session, before: datetime, after: int) -> tuple[Removed, int | None]:
    """Remove alerts that have no episode left and were last seen before `before`.

    Examines ids after `after` and returns the id to continue from, None at the end: one pass over the table in small
    steps.
    """
    _be_polite(session)
    until = after + 5 * ROWS_A_STEP
    removed = _count(session, _ALERTS, {"before": before, "after": after, "until": until})
    last: int = session.execute(_LAST_ALERT).scalar_one()
    return {"alerts": removed}, until if until < last else None


@dataclass(frozen=True, slots=True)
class Step:
    """A kind of rows with an age of their own; `delete` removes up to :limit of them."""

    kind: str
    delete: str


STEPS: Final = (
    Step(
        "dead_letters",
        "DELETE FROM dead_letter WHERE id IN (SELECT id FROM dead_letter WHERE received_at < :before"
        " ORDER BY received_at LIMIT :limit FOR UPDATE SKIP LOCKED)",
    ),
    # Runs that belong to no incident.
    Step(
        "runs",
        "DELETE FROM run WHERE id IN (SELECT id FROM run WHERE incident_id IS NULL AND episode_id IS NULL"
        " AND ended_at < :before"
        " LIMIT :limit FOR UPDATE SKIP LOCKED)",
    ),
    # A correlation key whose incident was removed has no effect.
    Step(
        "correlations",
        "DELETE FROM correlation WHERE key IN (SELECT key FROM correlation WHERE updated_at < :before"
        " AND NOT EXISTS (SELECT FROM incident WHERE id = correlation.incident_id)"
        " LIMIT :limit FOR UPDATE SKIP LOCKED) AND updated_at < :before",
    ),
    Step(
        "tokens",
        "DELETE FROM api_token WHERE hash IN (SELECT hash FROM api_token WHERE expires_at < :before LIMIT :limit)",
    ),
    # The API promises to keep them for a day, whatever the policy's retention.
    Step(
        "idempotency_keys",
        "DELETE FROM idempotency_key WHERE (account, key) IN (SELECT account, key FROM idempotency_key"
        " WHERE created_at < greatest(CAST(:before AS timestamptz), now() - interval '1 day')"
        " ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED)",
    ),
    # They count for a few minutes, so an hour is long enough.
    Step(
        "sign_in_tries",
        "DELETE FROM sign_in_tries WHERE key IN (SELECT key FROM sign_in_tries"
        " WHERE began_at < greatest(CAST(:before AS timestamptz), now() - interval '1 hour')"
        " LIMIT :limit FOR UPDATE SKIP LOCKED)",
    ),
    # No session lasts longer than the longest IMS_SESSION_HOURS, 30 days.
    Step(
        "ended_sessions",
        "DELETE FROM ended_session WHERE id IN (SELECT id FROM ended_session"
        " WHERE ended_at < least(CAST(:before AS timestamptz), now() - interval '30 days')"
        " LIMIT :limit FOR UPDATE SKIP LOCKED)",
    ),
)


def take_step(session: Session, step: Step, before: datetime, limit: int = ROWS_A_STEP) -> int:
    """Remove up to `limit` rows older than `before`; returns how many."""
    _be_polite(session)
    return _count(session, text(step.delete), {"before": before, "limit": limit})


_AUDIT = text("SELECT remove_old_audit_entries(:before, :limit)")


def remove_audit_entries(session: Session, before: datetime, limit: int = ROWS_A_STEP) -> int:
    """Remove up to `limit` entries of the audit log from before `before`; returns how many.

    As for timelines, the programs' role has no permission to delete them: a database function does it.
    """
    _be_polite(session)
    return int(session.scalar(_AUDIT, {"before": before, "limit": limit}) or 0)


def steps(database: Database, kept: Kept) -> Iterator[Removed]:
    """Remove everything older than the retention period; yields after each transaction, for a pause.

    The caller may stop after any step. Raises `DatabaseAway`, also when a row stays locked for too long.
    """
    before = kept.since
    while removed := _in_transaction(database, lambda session: remove_incidents(session, before)):
        yield removed
    after: int | None = 0
    while after is not None:
        removed, after = _in_transaction(database, partial(remove_alerts, before=before, after=after))
        yield removed
    for step in STEPS:
        while count := _in_transaction(database, partial(take_step, step=step, before=before)):
            yield {step.kind: count}
    while count := _in_transaction(database, partial(remove_audit_entries, before=kept.audit_since)):
        yield {"audit_entries": count}


def _in_transaction(database: Database, work: Callable[[Session], T]) -> T:
    with database.begin() as session:
        return work(session)


def _be_polite(session: Session) -> None:
    for statement in _POLITE:
        session.execute(statement)


def _count(session: Session, statement: Any, columns: dict[str, Any]) -> int:
    result = session.execute(statement, columns)
    return result.rowcount if isinstance(result, CursorResult) else 0
