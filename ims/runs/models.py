"""Tables: run, run_event."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Sequence, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from ims.core.db.base import Base

RUN_NUMBER = Sequence("run_number_seq", metadata=Base.metadata)


class RunStatus(StrEnum):
    """Where a run is: queued → running → verifying → an outcome."""

    QUEUED = "queued"
    RUNNING = "running"
    VERIFYING = "verifying"
    HEALED = "healed"
    INEFFECTIVE = "ineffective"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


ACTIVE = (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.VERIFYING)


class Run(Base):
    """One execution of a playbook."""

    __tablename__ = "run"
    __table_args__ = (
        # Exactly one run for one attempt of a rule at an episode, however often the decision is repeated.
        UniqueConstraint("episode_id", "rule", "attempt"),
        # Never two runs on one target at once.
        Index(
            "uq_run_active_target",
            "target",
            unique=True,
            postgresql_where=text("status IN ('queued', 'running', 'verifying')"),
        ),
        # At most one healed run for an episode.
        Index("uq_run_healed_episode", "episode_id", unique=True, postgresql_where=text("status = 'healed'")),
        # The sweep looks for leases that ran out.
        Index("ix_run_lease", "lease_until", postgresql_where=text("status = 'running'")),
        # Runs whose end nobody saw wait for a probe; the sweep finds those whose job got lost.
        Index("ix_run_unverified", "finished_at", postgresql_where=text("status = 'unknown' AND verified_at IS NULL")),
        Index("ix_run_incident", "incident_id"),
        # Cooldown: when did the last run on this target end?
        Index("ix_run_target_finished", "target", "finished_at"),
        # The list is read newest first, and each filter has its rows in that order.
        Index("ix_run_status", "status", text("number DESC")),
        Index("ix_run_target", "target", text("number DESC")),
        Index("ix_run_rule", "rule", text("number DESC"), postgresql_where=text("rule IS NOT NULL")),
        Index("ix_run_kind", "kind", text("number DESC")),
        CheckConstraint(
            "status IN ('queued', 'running', 'verifying', 'healed', 'ineffective', 'failed', 'timed_out',"
            " 'cancelled', 'unknown')",
            name="status",
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    number: Mapped[int] = mapped_column(BigInteger, RUN_NUMBER, unique=True)
    """People's name for it (R-7)."""
    kind: Mapped[str] = mapped_column(default="heal")
    status: Mapped[str] = mapped_column(default=RunStatus.QUEUED)
    incident_id: Mapped[UUID | None] = mapped_column(ForeignKey("incident.id"))
    episode_id: Mapped[int | None] = mapped_column(ForeignKey("episode.id"))
    rule: Mapped[str | None]
    attempt: Mapped[int] = mapped_column(default=1)
    playbook: Mapped[str]
    target: Mapped[str]
    """Exact inventory name of the host the run may touch."""
    revision: Mapped[str] = mapped_column(ForeignKey("policy_snapshot.digest"))
    parameters: Mapped[dict[str, Any]] = mapped_column(default=dict)
    fence: Mapped[int] = mapped_column(default=0)
    """Fencing token: raised by each claim; every later write of the claimer carries it."""
    claimed_by: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    queued_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    """The playbook ended."""
    verified_at: Mapped[datetime | None]
    """The verification ended, or the run ended without one."""
    first_green_at: Mapped[datetime | None]
    """First green probe of the window that verified it."""
    rc: Mapped[int | None]
    recap: Mapped[dict[str, Any]] = mapped_column(default=dict)
    reason: Mapped[str | None]
    """Why the outcome is what it is, in words for people."""
    failed_task: Mapped[str | None]


class RunEvent(Base):
    """One line of a run's story, as ansible-runner told it."""

    __tablename__ = "run_event"

    run_id: Mapped[UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    counter: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    kind: Mapped[str]
    play: Mapped[str | None]
    task: Mapped[str | None]
    host: Mapped[str | None]
    stdout: Mapped[str]
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)
