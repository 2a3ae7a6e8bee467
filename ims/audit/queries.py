"""Reading the audit log, newest first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from ims.audit.models import AuditEntry
from ims.core.db.engine import Database

EXPORTED_AT_ONCE: Final = 1000
"""Entries that an export reads in one transaction, so that a large export holds no transaction open for long."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Filters of the audit log; an empty one matches every entry. Texts must match completely."""

    actor: str = ""
    """`alice`, `alice (T-3)`."""
    action: str = ""
    """`user.disabled`."""
    kind: str = ""
    """Kind of object: `user`, `incident`."""
    object: str = ""
    """Name of the object: `INC-42`."""
    address: str = ""
    since: datetime | None = None
    """From this time on."""
    until: datetime | None = None
    """Before this time."""


def list_entries(session: Session, filters: Filters, limit: int, before: int | None = None) -> Sequence[AuditEntry]:
    """Entries, newest first; `before` is the last id of the previous page."""
    query = _narrowed(select(AuditEntry), filters).order_by(AuditEntry.id.desc()).limit(limit)
    return session.scalars(query.where(AuditEntry.id < before) if before is not None else query).all()


def exported(database: Database, filters: Filters) -> Iterator[AuditEntry]:
    """All entries, newest first, in many small transactions. Entries that are written meanwhile are not included.

    Raises `DatabaseAway`.
    """
    before: int | None = None
    while True:
        with database.begin() as session:
            entries = list_entries(session, filters, EXPORTED_AT_ONCE, before)
        yield from entries
        if len(entries) < EXPORTED_AT_ONCE:
            return
        before = entries[-1].id


def entry_as_json(entry: AuditEntry) -> dict[str, Any]:
    """An entry in the JSON of the API and of the export."""
    return {
        "id": entry.id,
        "at": entry.at.isoformat(timespec="milliseconds"),
        "actor_kind": entry.actor_kind,
        "actor": entry.actor,
        "address": entry.address,
        "request_id": entry.request_id,
        "action": entry.action,
        "object_kind": entry.object_kind,
        "object": entry.object,
        "before": entry.before,
        "after": entry.after,
    }


def _narrowed(query: Select[Any], filters: Filters) -> Select[Any]:
    columns = {
        AuditEntry.actor: filters.actor,
        AuditEntry.action: filters.action,
        AuditEntry.object_kind: filters.kind,
        AuditEntry.object: filters.object,
        AuditEntry.address: filters.address,
    }
    query = query.where(*(column == value for column, value in columns.items() if value))
    if filters.since is not None:
        query = query.where(AuditEntry.at >= filters.since)
    if filters.until is not None:
        query = query.where(AuditEntry.at < filters.until)
    return query
