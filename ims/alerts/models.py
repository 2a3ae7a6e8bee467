"""Tables: alert, episode, correlation, dead_letter."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, String, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from ims.core.db.base import Base


class Alert(Base):
    """An alert of one source, identified by its fingerprint."""

    __tablename__ = "alert"
    __table_args__ = (
        UniqueConstraint("source", "fingerprint"),
        # The list is read newest first, and each filter has its rows in that order.
        Index("ix_alert_source", "source", text("id DESC")),
        Index("ix_alert_service", "service", text("id DESC"), postgresql_where=text("service IS NOT NULL")),
        Index("ix_alert_name", "name", text("id DESC")),
        Index("ix_alert_severity", "severity", text("id DESC")),
        Index("ix_alert_environment", "environment", text("id DESC")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    source: Mapped[str] = mapped_column(ForeignKey("source.name"))
    fingerprint: Mapped[str] = mapped_column(String(128))
    name: Mapped[str]
    service: Mapped[str | None]
    environment: Mapped[str]
    severity: Mapped[str]
    labels: Mapped[dict[str, str]]
    annotations: Mapped[dict[str, str]]
    generator_url: Mapped[str | None]
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]


class Episode(Base):
    """One firing of an alert, from its first firing notification to its resolution. The sender's times are extra."""

    __tablename__ = "episode"
    __table_args__ = (
        # Guarantees one open episode: two concurrent first notifications cannot both open one.
        Index("uq_episode_open", "alert_id", unique=True, postgresql_where=text("closed_at IS NULL")),
        # A late duplicate is found among the alert's closed episodes, newest first.
        Index("ix_episode_alert", "alert_id", text("opened_at DESC")),
        # Does this incident still have an open episode?
        Index("ix_episode_incident", "incident_id", "closed_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    alert_id: Mapped[int] = mapped_column(ForeignKey("alert.id"))
    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incident.id"))
    opened_at: Mapped[datetime]
    last_notification_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    notifications: Mapped[int] = mapped_column(default=1)
    sender_starts: Mapped[list[datetime]] = mapped_column(ARRAY(TIMESTAMP(timezone=True)))
    """The last 16 distinct startsAt received, in order: a restart of the sender changes startsAt."""
    sender_ends_at: Mapped[datetime | None]
    missing_since: Mapped[datetime | None]
    """Since when the source's Alertmanager no longer lists it, while it is open."""
    listed_by: Mapped[list[str]] = mapped_column(ARRAY(String), default=list, server_default="{}")
    """The last eight Alertmanager instances that have listed it, as digests `address.process`: if one of these no
    longer lists it, it is over."""


class UnsentAlert(Base):
    """An alert that a source's Alertmanager is to send to IMS and that has no open episode, while that is so."""

    __tablename__ = "unsent_alert"

    source: Mapped[str] = mapped_column(String, ForeignKey("source.name", ondelete="CASCADE"), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[datetime]
    """When it was first seen so: a notification that is sent in time comes soon after that."""


class Correlation(Base):
    """A correlation key and its current incident; the lock of the upserted row serialises the first alerts of a key."""

    __tablename__ = "correlation"

    key: Mapped[str] = mapped_column(primary_key=True)
    # No foreign key: the row is locked before its incident is written.
    incident_id: Mapped[UUID | None]
    updated_at: Mapped[datetime]


class DeadLetter(Base):
    """An alert that could not be processed, with its reason and body, so that nothing that a sender sent is lost."""

    __tablename__ = "dead_letter"
    __table_args__ = (
        Index("ix_dead_letter_source", "source", text("id DESC")),
        Index("ix_dead_letter_reason", "reason", text("id DESC")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    source: Mapped[str] = mapped_column(ForeignKey("source.name"))
    reason: Mapped[str]
    body: Mapped[str]
    """The alert as JSON text, capped; NUL characters are replaced, since PostgreSQL cannot store them."""
    details: Mapped[dict[str, Any]]
    received_at: Mapped[datetime] = mapped_column(index=True)
