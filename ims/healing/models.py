"""Table: refusal."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from ims.core.db.base import Base


class Refusal(Base):
    """A guard's no: one row for (incident, rule, reason), counted, so that a storm of noes stays one line."""

    __tablename__ = "refusal"

    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incident.id"), primary_key=True)
    rule: Mapped[str] = mapped_column(primary_key=True)
    """Name of the rule; empty when no rule matched."""
    reason: Mapped[str] = mapped_column(primary_key=True)
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    count: Mapped[int] = mapped_column(default=1)
