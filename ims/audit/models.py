"""Table: audit_entry."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Identity, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from ims.core.db.base import Base


class AuditEntry(Base):
    """One change by a person, a token or a command. Append-only: the programs' role cannot change or delete it."""

    __tablename__ = "audit_entry"
    __table_args__ = (
        # The log is read newest first: all of it, for one object, or by one actor.
        Index("ix_audit_entry_object", "object_kind", "object", text("id DESC")),
        Index("ix_audit_entry_actor", "actor", text("id DESC")),
        # For filters by time, and for retention.
        Index("ix_audit_entry_at", "at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime]
    actor_kind: Mapped[str] = mapped_column(String(16))
    actor: Mapped[str]
    address: Mapped[str | None] = mapped_column(String(64))
    """Where the request came from; None for a command on this machine."""
    request_id: Mapped[str | None] = mapped_column(String(64))
    """The id that the programs' logs carry, too."""
    action: Mapped[str] = mapped_column(String(64))
    """Object and verb: `user.disabled`, `incident.edited`."""
    object_kind: Mapped[str] = mapped_column(String(32))
    object: Mapped[str]
    """The object's name for people: INC-42, alice, T-3."""
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
