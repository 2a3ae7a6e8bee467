"""Table: decision."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from ims.core.db.base import Base


class DecisionOutcome(StrEnum):
    """What a decision came to."""

    ALLOWED = "allowed"
    """A run was queued."""
    DENIED = "denied"
    """Automation will not do it."""
    WAITING = "waiting"
    """Not yet: it is decided again."""


class Decision(Base):
    """What was decided about one open episode, from which facts, and what each guard said.

    Equal decisions are one row that counts: while a target is busy a decision is repeated every two seconds.
    """

    __tablename__ = "decision"
    __table_args__ = (
        # What makes decisions equal; it also finds those of an episode.
        Index("uq_decision_repeated", "episode_id", "outcome", "reason", "rule", "attempt", "revision", unique=True),
        # Denials of an incident: its page, its lifeline, and whether one is the first of its kind, all by the index.
        Index("ix_decision_incident", "incident_id", "rule", "reason", "first_at"),
        # Removing a run looks for the decision that made it.
        Index("ix_decision_run", "run_id", postgresql_where=text("run_id IS NOT NULL")),
        # The list is read newest first, and each filter has its rows in that order.
        Index("ix_decision_first_at", "first_at"),
        Index("ix_decision_outcome", "outcome", text("id DESC")),
        Index("ix_decision_reason", "reason", text("id DESC")),
        Index("ix_decision_rule", "rule", text("id DESC")),
        CheckConstraint("outcome IN ('allowed', 'denied', 'waiting')", name="outcome"),
        # Repeats change no indexed column: with room on the page they leave the indexes alone.
        {"postgresql_with": {"fillfactor": 80}},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    """People's name for it: D-12."""
    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incident.id"))
    episode_id: Mapped[int | None] = mapped_column(ForeignKey("episode.id"))
    """None in what an earlier version counted for a whole incident."""
    rule: Mapped[str] = mapped_column(default="")
    """Name of the rule that matched; empty if none did."""
    attempt: Mapped[int] = mapped_column(default=1)
    """Number of the attempt that was decided about."""
    revision: Mapped[str] = mapped_column(default="")
    """Digest of the policy; empty without one."""
    outcome: Mapped[str]
    reason: Mapped[str]
    message: Mapped[str]
    """The reason in words for people."""
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What was known when it was first made."""
    answers: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list)
    """What each guard said then, in their order: guard, answer, and for an objection reason, message, until."""
    until: Mapped[datetime | None]
    """Of a wait, when it is decided again."""
    run_id: Mapped[UUID | None] = mapped_column(ForeignKey("run.id"))
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    count: Mapped[int] = mapped_column(default=1)
