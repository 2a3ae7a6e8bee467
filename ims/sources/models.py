"""Table: source."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from ims.core.db.base import Base


class Source(Base):
    """One sender of alerts."""

    __tablename__ = "source"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str]
    alertmanager_url: Mapped[str | None]
    """The sender's own Alertmanager, from configuration and never from a payload: what it cut is fetched there."""
    receiver: Mapped[str | None]
    """Its receiver in that Alertmanager which sends to us: alerts of other receivers are not ours. None: all are."""
    networks: Mapped[list[str]] = mapped_column(ARRAY(String), default=list, server_default="{}")
    """Where it may send from, as CIDR; empty is anywhere."""
    rate_limit: Mapped[float | None]
    """Alerts a second that one server process takes from it; None is any number."""
    stale_after: Mapped[float | None]
    """Seconds without a sign of life after which it counts as silent; None is the setting, for those we can ask."""
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    """Nothing is taken from it and it is not asked, since then."""
    last_notification_at: Mapped[datetime | None]
    reconciliation_tried_at: Mapped[datetime | None]
    """When a worker last began to ask its Alertmanager; also what tells the newest asking from an older one."""
    reconciled_at: Mapped[datetime | None]
    """When its Alertmanager last answered, and what was missed was mended."""
    reconciliation_problem: Mapped[str | None]
    """Why it could not be asked the last time, in a word."""
    reconciliation_withheld: Mapped[int] = mapped_column(default=0, server_default="0")
    """Open alerts that its Alertmanager did not list the last time, and that go on since it is not believed."""
    reconciliation_withheld_reason: Mapped[str | None]
    """Why it is not believed, in a word."""
    stale_since: Mapped[datetime | None]
