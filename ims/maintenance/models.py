"""Table: maintenance_window."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from ims.core.db.base import Base


class WindowOrigin(StrEnum):
    """Where a window is defined."""

    COMMAND = "command"
    """By `ims maintenance add`."""
    INVENTORY = "inventory"
    """In the active policy."""


class StoredWindow(Base):
    """A window that was added by command, or the early end of a window of the inventory.

    A window of the inventory has a row only after it was ended early: its definition stays in the policy.
    """

    __tablename__ = "maintenance_window"
    __table_args__ = (
        CheckConstraint("origin IN ('command', 'inventory')", name="origin"),
        CheckConstraint("(origin = 'command') = (definition IS NOT NULL)", name="definition"),
    )

    origin: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    definition: Mapped[dict[str, Any] | None]
    """The window in the same format as in the inventory."""
    ended_at: Mapped[datetime | None]
    """Occurrences that began before this time are over."""
    actor: Mapped[str]
    """Who changed the row last."""
    changed_at: Mapped[datetime]
