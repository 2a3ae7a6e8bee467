"""Who hears of changes of incidents, after the transaction of the change.

`ims.incidents.transitions` writes one job for each transaction that changes incidents; `ims.engine.jobs.incidents`
hands it to every subscriber named here. A subscriber is called at least once for each change, in no order, and never in
the transaction of the change: it reads what it needs and must not mind being called again, since (incident, seq) names
a change for ever.

To add one, write its function in its domain or beside this file and name it in `SUBSCRIBERS`.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from ims.core.log import logger
from ims.core.queue import WorkerContext
from ims.incidents.models import EventKind

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class IncidentChange:
    """One event of a timeline that changed what its incident is."""

    incident_id: UUID
    seq: int
    kind: EventKind


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Who hears of which changes."""

    name: str
    """Stands in jobs that are repeated, so it stays the same."""
    handle: Callable[[WorkerContext, Sequence[IncidentChange]], Awaitable[None]]
    kinds: frozenset[EventKind] = frozenset(EventKind)


async def log_changes(_worker: WorkerContext, changes: Sequence[IncidentChange]) -> None:
    """One log entry for each change, so that whoever collects logs can follow incidents without asking the API."""
    for change in changes:
        log.info("incident_changed", incident_id=str(change.incident_id), seq=change.seq, kind=change.kind.value)


SUBSCRIBERS: Final = (Subscriber("log", log_changes),)
