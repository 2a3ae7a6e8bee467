"""Tables: worker, engine_leader."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, String
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from ims.core.db.base import Base


class WorkerState(StrEnum):
    """The state that a worker reports about itself."""

    STARTING = "starting"
    WORKING = "working"
    STOPPING = "stopping"


class Worker(Base):
    """One start of `ims admin worker`. Times are by the database's clock."""

    __tablename__ = "worker"
    __table_args__ = (CheckConstraint("state IN ('starting', 'working', 'stopping')", name="state"),)

    id: Mapped[str] = mapped_column(String(200), primary_key=True)
    """The value of `run.claimed_by`; unique for each start."""
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int]
    pools: Mapped[list[str]] = mapped_column(ARRAY(String(128)))
    run_capacity: Mapped[int]
    fast_capacity: Mapped[int]
    version: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    started_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime]
    modules: Mapped[dict[str, Any]]
    """The last run of each engine module, by name: `ended_at`, `result`, `seconds`; a few seconds old."""


class EngineLeader(Base):
    """The lease of the one worker that runs modules of scope `leader`."""

    __tablename__ = "engine_leader"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    worker_id: Mapped[str] = mapped_column(String(200))
    until: Mapped[datetime]
