"""Subscribers to changes of incidents, called after the transaction of the change.

`ims.incidents.transitions` writes one job for each transaction that changes incidents; `ims.engine.jobs.incidents`
passes the changes to every subscriber listed here. A subscriber is called at least once for each change, in no
particular order, and never in the transaction of the change: it reads what it needs and must be idempotent. The pair
(incident, seq) identifies a change for ever.

To add a subscriber, write its function in its domain or beside this file and list it in `SUBSCRIBERS`.
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
    """One timeline event that changed its incident."""

    incident_id: UUID
    seq: int
    kind: EventKind


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A function, and the kinds of changes it is called for."""

    name: str
    """Stored in jobs that are retried, so it must not change."""
    handle: Callable[[WorkerContext, Sequence[IncidentChange]], Awaitable[None]]
    kinds: frozenset[EventKind] = frozenset(EventKind)


async def log_changes(_worker: WorkerContext, changes: Sequence[IncidentChange]) -> None:
    """Log each change, so that a log collector can follow incidents without the API."""
    for change in changes:
        log.info("incident_changed", incident_id=str(change.incident_id), seq=change.seq, kind=change.kind.value)


SUBSCRIBERS: Final = (Subscriber("log", log_changes),)
