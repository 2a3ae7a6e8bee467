"""Tables: oncall_override, calendar_feed."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from ims.core.db.base import Base


class StoredOverride(Base):
    """For a time a person takes the place of whoever is on call by a schedule."""

    __tablename__ = "oncall_override"
    __table_args__ = (
        CheckConstraint("ends > begins", name="span"),
        # Whoever asks who is on call reads the overrides of a schedule that have not ended.
        Index("ix_oncall_override_schedule", "schedule", "ends", postgresql_where=text("cancelled_at IS NULL")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    """Of two overrides that overlap, the one with the higher id counts."""
    schedule: Mapped[str] = mapped_column(String(128))
    """Name of a schedule of the policy; an override of a schedule that is not there any more has no effect."""
    person: Mapped[str] = mapped_column(String(64), ForeignKey("user_account.name"))
    begins: Mapped[datetime]
    ends: Mapped[datetime]
    reason: Mapped[str] = mapped_column(String(200), default="", server_default="")
    swapped_with: Mapped[str | None] = mapped_column(String(64))
    """The person whose shift it was, if two people swapped shifts."""
    actor: Mapped[str]
    created_at: Mapped[datetime]
    cancelled_at: Mapped[datetime | None]


class CalendarFeed(Base):
    """A secret URL at which calendars read the shifts of an account, or those of a schedule.

    Only the SHA-256 of its token is stored: the token has 256 random bits.
    """

    __tablename__ = "calendar_feed"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    hash: Mapped[bytes] = mapped_column(unique=True)
    # A page lists the feeds of an account.
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), index=True)
    schedule: Mapped[str | None] = mapped_column(String(128))
    """None: the account's own shifts of all schedules."""
    created_at: Mapped[datetime]
