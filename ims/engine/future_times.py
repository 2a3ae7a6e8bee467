"""Repair stored times that lie in the future.

All times are by the database's clock, so normally none is ahead of it. But earlier versions stored times of their own
machine's clock, and the database's clock itself may have been ahead for a while. A run that "ended" in 2028 would keep
its target in cooldown until then, and a decision that waits for 2028 would not be made.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final, cast

from sqlalchemy import CursorResult, TextClause, text
from sqlalchemy.orm import Session

from ims.incidents.transitions import correct_future_times

TOLERANCE: Final = timedelta(minutes=1)
"""A time that is ahead by less is not repaired: NTP is slewing the clock, and it will soon be right."""
LONGEST_WAIT: Final = timedelta(hours=1)
"""A job that is scheduled later than this starts after this time instead. Each job checks the present state, and defers
another job if it still has to wait, so that a wait of days costs one job an hour."""
_RECENT: Final = 10_000
"""In large tables only so many of the newest rows are checked: times in the future were written recently."""

_COLUMNS: Final = {
    "run": ("queued_at", "started_at", "finished_at", "ended_at"),
    "verification": ("started_at", "ended_at", "healthy_since"),
    "episode": ("opened_at", "last_notification_at", "closed_at", "missing_since"),
    "decision": ("first_at", "last_at"),
    "source": (
        "last_notification_at",
        "reconciliation_tried_at",
        "reconciled_at",
        "stale_since",
        "truncated_at",
        "clock_ahead_at",
    ),
    "heartbeat": ("known_at", "last_at", "missed_since"),
    "policy_activation": ("activated_at",),
    "sign_in_tries": ("began_at",),
    "user_account": ("created_at",),
    "idempotency_key": ("created_at",),
    "api_token": ("created_at", "last_used_at"),
}
"""Columns, by table, that say when something happened and that are compared with the clock later."""

_NEWEST: Final = {
    "run": "number > (SELECT coalesce(max(number), 0) FROM run) - :recent",
    "verification": "run_id IN (SELECT id FROM run ORDER BY number DESC LIMIT :recent)",
    "episode": "id > (SELECT coalesce(max(id), 0) FROM episode) - :recent",
    "decision": "id > (SELECT coalesce(max(id), 0) FROM decision) - :recent",
}

# An approval "requested" in the future keeps its time to live, counted from now.
_APPROVALS: Final = text(
    """
    UPDATE approval SET expires_at = clock_timestamp() + (expires_at - requested_at), requested_at = clock_timestamp()
    WHERE state = 'pending' AND requested_at > clock_timestamp() + CAST(:tolerance AS interval)
    """
)
_LEASES: Final = text(
    """
    UPDATE run SET lease_until = clock_timestamp() + make_interval(secs => :lease)
    WHERE status = 'running' AND lease_until > clock_timestamp() + make_interval(secs => 2 * :lease)
    """
)
_JOBS: Final = text(
    """
    UPDATE procrastinate_jobs SET scheduled_at = clock_timestamp() + CAST(:longest AS interval)
    WHERE status = 'todo' AND scheduled_at > clock_timestamp() + CAST(:longest AS interval)
    """
)


def heal_future_times(session: Session, lease_seconds: float) -> dict[str, int]:
    """Set times in the future to the present; returns how many rows were changed, by table. Raises `DatabaseAway`."""
    healed = {table: _rows(session, statement, given) for table, statement, given in _statements()}
    healed["incident"] = correct_future_times(session, TOLERANCE, _RECENT)
    healed["approval"] = _rows(session, _APPROVALS, {"tolerance": TOLERANCE})
    healed["lease"] = _rows(session, _LEASES, {"lease": lease_seconds})
    healed["job"] = _rows(session, _JOBS, {"longest": LONGEST_WAIT})
    return {table: rows for table, rows in healed.items() if rows}


def _rows(session: Session, statement: TextClause, given: dict[str, Any]) -> int:
    return cast(CursorResult[Any], session.execute(statement, given)).rowcount


def _statements() -> Iterator[tuple[str, TextClause, dict[str, Any]]]:
    for table, columns in _COLUMNS.items():
        # Not least(), which would replace NULL. No SQL injection: the names come from `_COLUMNS`.
        changes = ", ".join(
            f"{name} = CASE WHEN {name} > clock_timestamp() THEN clock_timestamp() ELSE {name} END" for name in columns
        )
        ahead = " OR ".join(f"{name} > clock_timestamp() + CAST(:tolerance AS interval)" for name in columns)
        newest = _NEWEST.get(table, "true")
        given: dict[str, Any] = {"tolerance": TOLERANCE}
        if table in _NEWEST:
            given["recent"] = _RECENT
        yield table, text(f"UPDATE {table} SET {changes} WHERE {newest} AND ({ahead})"), given  # noqa: S608
