"""The job that passes changes of incidents to the subscribers."""

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

import procrastinate
from sqlalchemy.orm import Session

from ims.core.log import logger
from ims.core.queue import Job, WorkerContext, defer
from ims.engine.subscribers import SUBSCRIBERS, IncidentChange, Subscriber
from ims.incidents.models import EventKind

log = logger(__name__)


def tasks(worker: WorkerContext, subscribers: Sequence[Subscriber] = SUBSCRIBERS) -> procrastinate.Blueprint:
    """The jobs of this domain."""
    blueprint = procrastinate.Blueprint()
    by_name = {subscriber.name: subscriber for subscriber in subscribers}

    @blueprint.task(name=Job.INCIDENTS_CHANGED.value, queue=Job.INCIDENTS_CHANGED.queue.value)
    async def incidents_changed(changes: list[list[Any]], subscriber: str | None = None) -> None:
        read = [IncidentChange(UUID(id_), int(seq), EventKind(kind)) for id_, seq, kind in changes]
        if subscriber is not None:
            if subscriber in by_name:  # else the subscriber was removed since the job was written
                await _deliver(worker, by_name[subscriber], read)
            return
        for one in subscribers:
            try:
                await _deliver(worker, one, read)
            except Exception as error:  # noqa: BLE001 - the other subscribers still get the changes
                log.warning("subscriber_failed", subscriber=one.name, error=type(error).__name__)
                await worker.transaction(partial(_again, changes=changes, subscriber=one.name))

    return blueprint


def _again(session: Session, changes: list[list[Any]], subscriber: str) -> None:
    defer(session, Job.INCIDENTS_CHANGED, changes=changes, subscriber=subscriber)


async def _deliver(worker: WorkerContext, subscriber: Subscriber, changes: Sequence[IncidentChange]) -> None:
    wanted = [change for change in changes if change.kind in subscriber.kinds]
    if wanted:
        await subscriber.handle(worker, wanted)
