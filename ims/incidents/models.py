"""Tables: incident, timeline_event, incident_change, incident_daily."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    FetchedValue,
    ForeignKey,
    Identity,
    Index,
    Numeric,
    Sequence,
    SmallInteger,
    String,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from ims.core.db.base import Base

INCIDENT_NUMBER = Sequence("incident_number_seq", metadata=Base.metadata)


class Status(StrEnum):
    """The status of an incident; `resolved` is final."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    IN_PROGRESS = "in_progress"
    RESOLVED = "resolved"


class EventKind(StrEnum):
    """The kind of a timeline event."""

    INCIDENT_OPENED = "incident_opened"
    ALERT_FIRING = "alert_firing"
    ALERT_RESOLVED = "alert_resolved"
    ALERTS_TRUNCATED = "alerts_truncated"
    SEVERITY_RAISED = "severity_raised"
    RULE_ALLOWED = "rule_allowed"
    RULE_DENIED = "rule_denied"
    NO_RULE = "no_rule"
    RUN_STARTED = "run_started"
    RUN_FINISHED = "run_finished"
    RUN_LOST = "run_lost"
    APPROVAL_REQUESTED = "approval_requested"
    RUN_APPROVED = "run_approved"
    RUN_REJECTED = "run_rejected"
    VERIFICATION_PASSED = "verification_passed"
    VERIFICATION_FAILED = "verification_failed"
    AUTOMATION_GAVE_UP = "automation_gave_up"
    MAINTENANCE_BEGAN = "maintenance_began"
    MAINTENANCE_ENDED = "maintenance_ended"
    FLAPPING = "flapping"
    ACKNOWLEDGED = "acknowledged"
    IN_PROGRESS = "in_progress"
    RESOLVED = "resolved"
    EDITED = "edited"
    NOTE = "note"


class Incident(Base):
    """An incident, which people and automation work on; it has the episodes of one or many alerts."""

    __tablename__ = "incident"
    __table_args__ = (
        CheckConstraint("status IN ('open', 'acknowledged', 'in_progress', 'resolved')", name="status"),
        CheckConstraint("(status = 'resolved') = (resolved_at IS NOT NULL)", name="resolved"),
        # The list: newest first, all or with one filter. A second filter is compared in the index, for the columns
        # that follow the order: a rare pair costs entries of an index, not rows. Nothing has updated_at in an index:
        # each event changes it, and would then change every index instead of none (HOT).
        Index("ix_incident_opened_at", text("opened_at DESC"), "id"),
        Index("ix_incident_status", "status", text("opened_at DESC"), "id"),
        Index("ix_incident_unresolved", text("opened_at DESC"), "id", postgresql_where=text("status <> 'resolved'")),
        Index(
            "ix_incident_service_list", "service", text("opened_at DESC"), "id", "severity", "environment",
            postgresql_where=text("service IS NOT NULL"),
        ),
        Index("ix_incident_environment", "environment", text("opened_at DESC"), "id", "severity"),
        Index("ix_incident_severity", "severity", text("opened_at DESC"), "id", "environment"),
        Index(
            "ix_incident_assignee", "assignee", text("opened_at DESC"), "id", "severity", "environment",
            postgresql_where=text("assignee IS NOT NULL"),
        ),
        Index(
            "ix_incident_team", "team", text("opened_at DESC"), "id", "severity", "environment",
            postgresql_where=text("team IS NOT NULL"),
        ),
        # Search terms, by day: see search.py. A search also reads the pending list of the index, so that is kept short.
        Index(
            "ix_incident_words", "words", postgresql_using="gin", postgresql_with={"gin_pending_list_limit": 256},
        ),
        # Counts "healed in the last 24 hours" among years of incidents.
        Index("ix_incident_healed_at", "healed_at", postgresql_where=text("healed_at IS NOT NULL")),
        # Retention looks for incidents resolved long ago; removing one looks for incidents that refer to it.
        Index("ix_incident_resolved_at", "resolved_at", postgresql_where=text("resolved_at IS NOT NULL")),
        Index("ix_incident_recurrence_of", "recurrence_of", postgresql_where=text("recurrence_of IS NOT NULL")),
        # Every few seconds: which incidents are still covered by a maintenance window?
        Index(
            "ix_incident_maintenance", "id", postgresql_where=text("maintenance IS NOT NULL AND status <> 'resolved'")
        ),
        # Correlation finds the unresolved incident of a service.
        Index("ix_incident_service", "service", "environment", postgresql_where=text("status <> 'resolved'")),
    )  # fmt: skip
    # Values that the database computes are not fetched after a write.
    __mapper_args__ = {"eager_defaults": False}  # noqa: RUF012

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    number: Mapped[int] = mapped_column(BigInteger, INCIDENT_NUMBER, unique=True)
    """The number in its name (INC-42); taken only when the row is certain to be new, so duplicates leave no gaps."""
    title: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    service: Mapped[str | None]
    environment: Mapped[str]
    severity: Mapped[str]
    status: Mapped[str] = mapped_column(default=Status.OPEN)
    assignee: Mapped[str | None]
    team: Mapped[str | None]
    runbook_url: Mapped[str | None]
    labels: Mapped[dict[str, str]] = mapped_column(default=dict)
    correlation_key: Mapped[str | None]
    lead_alert_id: Mapped[int | None] = mapped_column(BigInteger)
    """The alert whose words title, description and labels are. No foreign key: retention takes alerts by itself."""
    titled_by_person: Mapped[bool] = mapped_column(default=False, server_default=false())
    """A person has changed title or description, which then stay whatever fires."""
    recurrence_of: Mapped[UUID | None] = mapped_column(ForeignKey("incident.id"))
    opened_at: Mapped[datetime]
    acknowledged_at: Mapped[datetime | None]
    in_progress_at: Mapped[datetime | None]
    first_human_at: Mapped[datetime | None]
    """First action of a person; it counts for MTTA when nobody acknowledged the incident."""
    resolved_at: Mapped[datetime | None]
    healed_at: Mapped[datetime | None]
    """A mark, not a state: the service's verification passed after a run."""
    attention_at: Mapped[datetime | None]
    """When automation could not resolve it: the incident needs attention since then."""
    attention_reason: Mapped[str | None]
    maintenance: Mapped[str | None]
    """Name of the maintenance window that covers all its firing alerts: IMS neither heals it nor notifies anyone. The
    name stays when the incident resolves during the window."""
    flapping_since: Mapped[datetime | None]
    """Since when one of its alerts fires more often than the policy's flapping limit."""
    updated_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)
    """Raised by each change; the ETag."""
    last_seq: Mapped[int] = mapped_column(default=0)
    """The last timeline event's number; taken under this row's lock, so a timeline has an order without gaps."""
    words: Mapped[str] = mapped_column(TSVECTOR, server_default=FetchedValue(), deferred=True, deferred_raiseload=True)
    """Its search terms: maintained by triggers, read by the database only."""


class TimelineEvent(Base):
    """An event of a timeline. Append only: the programs' role has no UPDATE, DELETE or TRUNCATE here."""

    __tablename__ = "timeline_event"

    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incident.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(64))
    actor_kind: Mapped[str] = mapped_column(String(16))
    actor: Mapped[str]
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)


class IdempotencyKey(Base):
    """A caller's own key for an incident that it opens: a request with the same key returns the same incident."""

    __tablename__ = "idempotency_key"
    __table_args__ = (
        # Old keys are removed daily.
        Index("ix_idempotency_key_created_at", "created_at"),
    )

    account: Mapped[UUID] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True)
    """Two accounts may use one key for different incidents."""
    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    request: Mapped[bytes]
    """SHA-256 of the request: the same key with other content is an error of the caller."""
    # No foreign key: the row is locked before its incident is written.
    incident_id: Mapped[UUID]
    created_at: Mapped[datetime]


class IncidentChange(Base):
    """The fields of an incident that count for statistics: after a change, before it, or when it was removed.

    Written by triggers in the transaction of the change; a worker adds the rows to `incident_daily` and deletes them.
    """

    __tablename__ = "incident_change"
    __table_args__ = (CheckConstraint("kind IN ('became', 'was', 'removed')", name="kind"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    service: Mapped[str | None]
    environment: Mapped[str]
    team: Mapped[str | None]
    severity: Mapped[str]
    opened_at: Mapped[datetime]
    acknowledged_at: Mapped[datetime | None]
    first_human_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    healed_at: Mapped[datetime | None]


class IncidentDaily(Base):
    """Statistics of the incidents of one UTC day or week, aggregated for one combination of fields; see rollups.py."""

    __tablename__ = "incident_daily"

    scope: Mapped[str] = mapped_column(String(16), primary_key=True)
    """Which fields the row is grouped by: `all` by none, `service`, `environment`, `team`, `owner` (environment and
    team), or `exact` by all three."""
    service: Mapped[str] = mapped_column(primary_key=True)
    """Empty when there is none, or when the scope does not group by it; likewise for environment and team."""
    environment: Mapped[str] = mapped_column(primary_key=True)
    team: Mapped[str] = mapped_column(primary_key=True)
    days: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    """Length in days, starting on `day`: one, or seven from a Monday."""
    day: Mapped[date] = mapped_column(primary_key=True)
    metric: Mapped[str] = mapped_column(String(16), primary_key=True)
    """What happened on the day: opened, acknowledged, resolved, healed; removed counts for the day it was opened."""
    severity: Mapped[str] = mapped_column(primary_key=True)
    """`*` is all severities together."""
    incidents: Mapped[int] = mapped_column(BigInteger)
    seconds: Mapped[Decimal] = mapped_column(Numeric)
    """Sum of the seconds since the opening of each incident."""
    buckets: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger))
    """The logarithmic buckets of durations that occurred."""
    counts: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    """How many incidents are in each bucket."""
