"""Rows of workers, as they write them themselves."""

from datetime import timedelta
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from ims.workers.models import Worker, WorkerState
from ims.workers.usecases import Registration, write_heartbeat

OK_RUN = {"ended_at": "2026-03-01T03:00:00+00:00", "result": "ok", "seconds": 0.012}


def registered(name: str, *pools: str) -> Registration:
    """A worker as it registers; without pools it serves the default one."""
    return Registration(f"elsewhere/{name}/0", name, 4711, pools or ("default",), 4, 8, "1.0")


def add_worker(session: Session, name: str, *pools: str, silent: float = 0, modules: Any = None) -> Registration:
    """A worker that works; `silent` seconds ago came its last heartbeat."""
    me = registered(name, *pools)
    write_heartbeat(session, me, WorkerState.WORKING, modules=modules)
    if silent:
        past = Worker.heartbeat_at - timedelta(seconds=silent)
        session.execute(update(Worker).where(Worker.id == me.id).values(heartbeat_at=past))
    return me
