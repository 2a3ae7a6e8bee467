"""Table: source."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from ims.core.db.base import Base


class Source(Base):
    """A sender of alerts."""

    __tablename__ = "source"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str]
    alertmanager_url: Mapped[str | None]
    """The source's own Alertmanager, from configuration and never from a payload: IMS polls it for missed alerts."""
    receiver: Mapped[str | None]
    """The receiver in that Alertmanager that sends to IMS; alerts of other receivers are ignored. None: all alerts."""
    networks: Mapped[list[str]] = mapped_column(ARRAY(String), default=list, server_default="{}")
    """Networks from which it may send, in CIDR notation; empty means any."""
    rate_limit: Mapped[float | None]
    """Alerts a second that one server process accepts from it; None means no limit."""
    stale_after: Mapped[float | None]
    """Seconds without data before it counts as stale; None means the setting, for sources that can be polled."""
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    """Since when IMS neither accepts its notifications nor polls it."""
    last_notification_at: Mapped[datetime | None]
    reconciliation_tried_at: Mapped[datetime | None]
    """When a worker last began to poll its Alertmanager; also identifies the newest polling."""
    reconciled_at: Mapped[datetime | None]
    """When its Alertmanager last answered and the alerts were reconciled."""
    reconciliation_problem: Mapped[str | None]
    """A word for why the last polling failed; None if it succeeded."""
    reconciliation_withheld: Mapped[int] = mapped_column(default=0, server_default="0")
    """Open alerts that its Alertmanager did not list the last time, but that stay open: its answer is uncertain."""
    reconciliation_withheld_reason: Mapped[str | None]
    """A word for why its answer is uncertain."""
    stale_since: Mapped[datetime | None]
    format: Mapped[str | None] = mapped_column(String(64))
    """How its alerts are read: a ready format or one of the policy; None is as its kind says."""
    truncated_alerts: Mapped[int | None]
    """Alerts that its last cut notification left out while there was no Alertmanager to ask for them."""
    truncated_at: Mapped[datetime | None]
    clock_ahead: Mapped[float | None]
    """Seconds that its clock was ahead of ours when it was last seen to be, or that its clocks differed by."""
    clock_ahead_at: Mapped[datetime | None]
