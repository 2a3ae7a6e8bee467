"""Table: heartbeat."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from ims.core.db.base import Base


class StoredHeartbeat(Base):
    """What came of a heartbeat; how often it is expected says the policy."""

    __tablename__ = "heartbeat"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    known_at: Mapped[datetime]
    """Since when it is expected: one that never comes is missed, too."""
    last_at: Mapped[datetime | None]
    last_source: Mapped[str | None] = mapped_column(String(64))
    """Whose token brought the last one."""
    missed_since: Mapped[datetime | None]
    """When it was found missing; null while it is not."""
