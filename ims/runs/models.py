"""Tables: run, run_event, verification, approval."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Computed,
    ForeignKey,
    Identity,
    Index,
    Sequence,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from ims.core.db.base import Base

RUN_NUMBER = Sequence("run_number_seq", metadata=Base.metadata)


class RunStatus(StrEnum):
    """What the playbook did: awaiting approval → queued → running → how it ended."""

    AWAITING_APPROVAL = "awaiting_approval"
    """It holds no target and has no job."""
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    """The playbook succeeded; the verification says whether the service is healthy."""
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """The end of the playbook, or of one of its tasks, was not observed: a process of the run or its worker died."""


class VerificationStatus(StrEnum):
    """Whether a service is healthy after a run."""

    PENDING = "pending"
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    """The run declares no verification, or it ran in check mode."""


class RunOutcome(StrEnum):
    """The outcome that people see: the run's status combined with its verification."""

    AWAITING_APPROVAL = "awaiting_approval"
    QUEUED = "queued"
    RUNNING = "running"
    VERIFYING = "verifying"
    HEALED = "healed"
    INEFFECTIVE = "ineffective"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class ApprovalState(StrEnum):
    """State of the approval of a run."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


ACTIVE = (RunOutcome.QUEUED, RunOutcome.RUNNING, RunOutcome.VERIFYING)
"""Runs that hold their target."""


def outcome_of(kind: str, status: RunStatus, verification: VerificationStatus | None) -> RunOutcome:
    """The outcome of a run. The column `run.outcome` computes the same in SQL for indexes; a test compares both."""
    if status is not RunStatus.SUCCEEDED:
        return RunOutcome(status.value)
    if verification is VerificationStatus.PENDING:
        return RunOutcome.VERIFYING
    if verification is VerificationStatus.FAILED:
        return RunOutcome.INEFFECTIVE
    if verification is VerificationStatus.PASSED and kind == "heal":
        return RunOutcome.HEALED
    return RunOutcome.SUCCEEDED


# Written as PostgreSQL prints it, for the test that compares models and migrations.
_OUTCOME = (
    "CASE WHEN status::text <> 'succeeded'::text THEN status"
    " WHEN verification::text = 'pending'::text THEN 'verifying'::character varying"
    " WHEN verification::text = 'failed'::text THEN 'ineffective'::character varying"
    " WHEN verification::text = 'passed'::text AND kind::text = 'heal'::text THEN 'healed'::character varying"
    " ELSE 'succeeded'::character varying END"
)


class Run(Base):
    """One execution of a playbook."""

    __tablename__ = "run"
    __table_args__ = (
        # One run per attempt of a rule at an episode, even if the decision is repeated.
        UniqueConstraint("episode_id", "rule", "attempt"),
        # Never two runs on one target at once.
        Index(
            "uq_run_active_target",
            "target",
            unique=True,
            postgresql_where=text("outcome IN ('queued', 'running', 'verifying')"),
        ),
        # At most one healed run for an episode.
        Index("uq_run_healed_episode", "episode_id", unique=True, postgresql_where=text("outcome = 'healed'")),
        # The sweep looks for expired leases.
        Index("ix_run_lease", "lease_until", postgresql_where=text("status = 'running'")),
        # The sweep finds verifications whose job got lost.
        Index("ix_run_unverified", "finished_at", postgresql_where=text("verification = 'pending'")),
        # The sweep looks for approved runs whose target has become free.
        Index("ix_run_awaiting_approval", "number", postgresql_where=text("status = 'awaiting_approval'")),
        Index("ix_run_incident", "incident_id"),
        # Cooldown: when did the last run on this target end?
        Index("ix_run_target_finished", "target", "finished_at"),
        # The list is read newest first, and each filter has its rows in that order.
        Index("ix_run_status", "status", text("number DESC")),
        Index("ix_run_outcome", "outcome", text("number DESC")),
        Index("ix_run_target", "target", text("number DESC")),
        Index("ix_run_rule", "rule", text("number DESC"), postgresql_where=text("rule IS NOT NULL")),
        Index("ix_run_kind", "kind", text("number DESC")),
        CheckConstraint(
            "status IN ('awaiting_approval', 'queued', 'running', 'succeeded', 'failed', 'timed_out', 'cancelled',"
            " 'unknown')",
            name="status",
        ),
        CheckConstraint("verification IN ('pending', 'passed', 'failed', 'skipped')", name="verification"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    number: Mapped[int] = mapped_column(BigInteger, RUN_NUMBER, unique=True)
    """The number in the run's name (R-7)."""
    spec: Mapped[dict[str, Any]]
    """The frozen spec, see spec.py. Kind, playbook and target are also columns for lists and indexes."""
    kind: Mapped[str] = mapped_column(default="heal")
    status: Mapped[str] = mapped_column(default=RunStatus.QUEUED)
    """What the playbook did."""
    verification: Mapped[str | None]
    """Copy of the verification's status, None without a verification. Written in the same transaction, because
    constraints and lists need it in this row."""
    outcome: Mapped[str] = mapped_column(Computed(_OUTCOME, persisted=True))
    """`outcome_of` status and verification."""
    incident_id: Mapped[UUID | None] = mapped_column(ForeignKey("incident.id"))
    episode_id: Mapped[int | None] = mapped_column(ForeignKey("episode.id"))
    rule: Mapped[str | None]
    """Name of the rule that created the run; None if no rule did."""
    attempt: Mapped[int] = mapped_column(default=1)
    playbook: Mapped[str]
    target: Mapped[str]
    """Exact inventory name of the host the run may touch."""
    revision: Mapped[str] = mapped_column(ForeignKey("policy_snapshot.digest"))
    fence: Mapped[int] = mapped_column(default=0)
    """Fencing token: each claim raises it, and every later write of the claiming worker carries it."""
    claimed_by: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    queued_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    """When the playbook ended."""
    ended_at: Mapped[datetime | None]
    """When the outcome became final: the verification ended, or the run ended without one."""
    rc: Mapped[int | None]
    recap: Mapped[dict[str, Any]] = mapped_column(default=dict)
    reason: Mapped[str | None]
    """The reason of the outcome, for people."""
    failed_task: Mapped[str | None]
    cut_short: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    """Whether a task may have been interrupted, so that a repetition may do twice what it did."""
    left_behind: Mapped[list[str]] = mapped_column(ARRAY(String), default=list, server_default="{}")
    """Names of the programs that were still running on its worker's machine after it, and were stopped."""

    @property
    def parameters(self) -> dict[str, Any]:
        """The declared extra variables of the playbook."""
        found: dict[str, Any] = self.spec.get("parameters", {})
        return found


class RunEvent(Base):
    """One event in the log of a run, as ansible-runner reported it."""

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


class Verification(Base):
    """Whether the service of a run was healthy after it."""

    __tablename__ = "verification"
    __table_args__ = (CheckConstraint("status IN ('pending', 'passed', 'failed', 'skipped')", name="status"),)

    run_id: Mapped[UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    status: Mapped[str] = mapped_column(default=VerificationStatus.PENDING)
    started_at: Mapped[datetime]
    """When the playbook ended or the run was lost."""
    ended_at: Mapped[datetime | None]
    healthy_since: Mapped[datetime | None]
    """First green probe of the window that passed, or the alert's resolve."""
    decided_by: Mapped[str | None]
    """What decided the verification: `probe` or `alert`."""
    probes: Mapped[int | None]
    """Number of probes; None if unknown."""
    reason: Mapped[str | None]
    """The reason of the status, for people."""


class Approval(Base):
    """A person's approval or rejection of one run, bound to the run's spec and revision."""

    __tablename__ = "approval"
    __table_args__ = (
        # A run has at most one approval.
        UniqueConstraint("run_id"),
        # The sweep looks for pending approvals that have expired.
        Index("ix_approval_pending", "expires_at", postgresql_where=text("state = 'pending'")),
        CheckConstraint("state IN ('pending', 'approved', 'rejected', 'expired')", name="state"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"))
    state: Mapped[str] = mapped_column(default=ApprovalState.PENDING)
    spec_digest: Mapped[str]
    """Digest of the run's spec when the approval was requested: an approval is not valid for another spec."""
    revision: Mapped[str]
    requested_at: Mapped[datetime]
    requested_by: Mapped[str]
    expires_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
    reason: Mapped[str | None]
    """The comment of the person who decided."""
