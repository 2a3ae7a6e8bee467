"""Table: heartbeat."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from ims.core.db.base import Base


class StoredHeartbeat(Base):
    """The state of a heartbeat; the policy says how often it is expected."""

    __tablename__ = "heartbeat"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    known_at: Mapped[datetime]
    """Since when it is expected: a heartbeat that never arrives is missed, too."""
    last_at: Mapped[datetime | None]
    last_source: Mapped[str | None] = mapped_column(String(64))
    """The source that sent the last one."""
    missed_since: Mapped[datetime | None]
    """Since when it is missed; None while it is not."""
