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
    """The outcome of a decision."""

    ALLOWED = "allowed"
    """A run was queued."""
    DENIED = "denied"
    """Automation will not start a run."""
    WAITING = "waiting"
    """Not yet: the decision is repeated."""


class Decision(Base):
    """A decision about one open episode, with its facts and the answer of each guard.

    Equal decisions share one row with a count: while a target is busy, a decision is repeated every two seconds.
    """

    __tablename__ = "decision"
    __table_args__ = (
        # Defines equal decisions; also finds the decisions of an episode.
        Index("uq_decision_repeated", "episode_id", "outcome", "reason", "rule", "attempt", "revision", unique=True),
        # Serves the denials of an incident, for its page, its lifeline, and to see which one is the first of its kind.
        Index("ix_decision_incident", "incident_id", "rule", "reason", "first_at"),
        # Removing a run looks for the decision that started it.
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
    """The number in its name: D-12."""
    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incident.id"))
    episode_id: Mapped[int | None] = mapped_column(ForeignKey("episode.id"))
    """None for decisions of an earlier version, which counted them for a whole incident."""
    rule: Mapped[str] = mapped_column(default="")
    """Name of the rule that matched; empty if none did."""
    attempt: Mapped[int] = mapped_column(default=1)
    """Number of the attempt that the decision is about."""
    revision: Mapped[str] = mapped_column(default="")
    """Digest of the active policy; empty without one."""
    outcome: Mapped[str]
    reason: Mapped[str]
    message: Mapped[str]
    """The reason as a sentence for people."""
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """The facts of the first of these decisions."""
    answers: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list)
    """The guards' answers to these facts, in order: guard, answer and, for deny and wait, reason, message, until."""
    until: Mapped[datetime | None]
    """For a wait, when the decision is repeated."""
    run_id: Mapped[UUID | None] = mapped_column(ForeignKey("run.id"))
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    count: Mapped[int] = mapped_column(default=1)
