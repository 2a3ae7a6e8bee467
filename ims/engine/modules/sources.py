"""Engine modules about sources: reconcile their alerts with their Alertmanagers, and detect stale sources."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy.orm import Session

from ims.alerts.alertmanager import AlertmanagerAway
from ims.alerts.ingest import Outcome
from ims.alerts.metrics import count_incidents
from ims.alerts.reconciliation import Polling, claim_pollings, finish_polling, reconcile
from ims.alerts.snapshot import fetch_snapshot
from ims.alerts.stale_sources import Turned, turn_stale
from ims.core.db.engine import database_now
from ims.core.errors import ConfigurationFaulty
from ims.core.log import logger
from ims.core.queue import WorkerContext
from ims.core.settings import Settings
from ims.sources.metrics import RECONCILED, RECONCILIATIONS

AT_ONCE: Final = 4
"""Alertmanagers that one worker polls at once."""
_LOOK_SECONDS: Final = 5.0

log = logger(__name__)


def poll_interval(settings: Settings) -> float:
    """Seconds between two checks which sources are due to be polled."""
    return min(_LOOK_SECONDS, settings.reconciliation_seconds)


async def poll_sources(worker: WorkerContext) -> None:
    """Poll the due sources of this worker's shard and reconcile their alerts. Raises `DatabaseAway`."""
    every = timedelta(seconds=worker.settings.reconciliation_seconds)
    pollings = await worker.transaction(
        lambda session: claim_pollings(session, every, database_now(session), worker.shard.owns)
    )
    gate = asyncio.Semaphore(AT_ONCE)

    async def in_turn(polling: Polling) -> None:
        async with gate:
            await _poll(worker, polling)

    await asyncio.gather(*(in_turn(polling) for polling in pollings))


async def _poll(worker: WorkerContext, polling: Polling) -> None:
    grace = timedelta(seconds=worker.settings.reconciliation_grace_seconds)
    polled_at = await worker.transaction(database_now)
    try:
        snapshot = await fetch_snapshot(polling.source, polling.url, polling.receiver, polled_at)
    except (AlertmanagerAway, ConfigurationFaulty) as error:
        RECONCILIATIONS.labels("away").inc()
        log.warning("source_not_polled", source=polling.source, reason=error.message)
        await worker.transaction(
            lambda session: finish_polling(session, polling=polling, problem="away", now=database_now(session))
        )
        return
    now = await worker.transaction(database_now)
    reconciled = await worker.in_thread(reconcile, worker.database, polling, snapshot, grace, now)
    RECONCILIATIONS.labels("overtaken" if reconciled is None else "ok").inc()
    if reconciled is not None:
        _count(reconciled.outcomes)
        # Only when it changes, not at every poll.
        if reconciled.withheld != polling.withheld:
            write = log.warning if reconciled.withheld.alerts else log.info
            write(
                "source_reconciliation_withheld",
                source=polling.source,
                alerts=reconciled.withheld.alerts,
                reason=reconciled.withheld.reason,
            )
    if reconciled:
        RECONCILED.labels("opened").inc(reconciled.opened)
        RECONCILED.labels("closed").inc(reconciled.closed)
        log.warning("source_reconciled", source=polling.source, opened=reconciled.opened, closed=reconciled.closed)


async def mark_stale_sources(worker: WorkerContext) -> None:
    """Report sources that became stale, and stale sources that send again. Raises `DatabaseAway`."""
    patience = timedelta(seconds=worker.settings.stale_seconds)
    turned = await worker.transaction(lambda session: _turn_stale(session, patience, worker))
    _count([turned.outcome] if turned.outcome else [])
    for source, since in turned.stale:
        log.warning("source_stale", source=source, since=since.isoformat())
    for source, _ in turned.heard:
        log.info("source_heard_again", source=source)


def _turn_stale(session: Session, patience: timedelta, worker: WorkerContext) -> Turned:
    now = database_now(session)
    return turn_stale(session, patience, now, watching_since=worker.watching_since(now))


def _count(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        count_incidents(outcome)
