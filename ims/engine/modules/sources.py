"""Engine modules about sources: ask their Alertmanagers for what was missed, and notice who is stale."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Final

from ims.alerts.alertmanager import AlertmanagerAway
from ims.alerts.ingest import Outcome
from ims.alerts.metrics import count_incidents
from ims.alerts.reconciliation import Asking, claim_askings, finish_asking, mend
from ims.alerts.snapshot import fetch_snapshot
from ims.alerts.stale_sources import turn_silent
from ims.core.clock import utc_now
from ims.core.errors import ConfigurationFaulty
from ims.core.log import logger
from ims.core.queue import WorkerContext
from ims.core.settings import Settings
from ims.sources.metrics import REPAIRED, REPAIRS

AT_ONCE: Final = 4
"""Alertmanagers that one worker asks at once."""
_LOOK_SECONDS: Final = 5.0

log = logger(__name__)


def poll_interval(settings: Settings) -> float:
    """Seconds between two looks which sources are due."""
    return min(_LOOK_SECONDS, settings.repair_seconds)


async def poll_sources(worker: WorkerContext) -> None:
    """Ask the sources of this worker's shard that are due and mend what they tell. Raises `DatabaseAway`."""
    every = timedelta(seconds=worker.settings.repair_seconds)
    askings = await worker.transaction(lambda session: claim_askings(session, every, utc_now(), worker.shard.owns))
    gate = asyncio.Semaphore(AT_ONCE)

    async def in_turn(asking: Asking) -> None:
        async with gate:
            await _ask(worker, asking)

    await asyncio.gather(*(in_turn(asking) for asking in askings))


async def _ask(worker: WorkerContext, asking: Asking) -> None:
    grace = timedelta(seconds=worker.settings.repair_grace_seconds)
    asked_at = utc_now()
    try:
        # Not in the pool for the database: whoever does not answer would keep others from it.
        snapshot = await asyncio.to_thread(fetch_snapshot, asking.source, asking.url, asking.receiver, grace, asked_at)
    except (AlertmanagerAway, ConfigurationFaulty) as error:
        REPAIRS.labels("away").inc()
        log.warning("source_not_asked", source=asking.source, reason=error.message)
        await worker.transaction(partial(finish_asking, asking=asking, problem="away", now=utc_now()))
        return
    mended = await worker.in_thread(mend, worker.database, asking, snapshot, grace, utc_now())
    REPAIRS.labels("overtaken" if mended is None else "ok").inc()
    if mended is not None:
        _count(mended.outcomes)
        # Once, not each time that it is asked.
        if mended.held != asking.held:
            tell = log.warning if mended.held.alerts else log.info
            tell("source_repair_held", source=asking.source, alerts=mended.held.alerts, reason=mended.held.reason)
    if mended:
        REPAIRED.labels("opened").inc(mended.opened)
        REPAIRED.labels("closed").inc(mended.closed)
        log.warning("source_mended", source=asking.source, opened=mended.opened, closed=mended.closed)


async def notice_stale_sources(worker: WorkerContext) -> None:
    """Tell of sources that became stale, and of those that are heard again. Raises `DatabaseAway`."""
    patience = timedelta(seconds=worker.settings.silent_seconds)
    turned = await worker.transaction(
        lambda session: turn_silent(session, patience, utc_now(), watching_since=worker.watching_since)
    )
    _count([turned.outcome] if turned.outcome else [])
    for source, since in turned.silent:
        log.warning("source_silent", source=source, since=since.isoformat())
    for source, _ in turned.heard:
        log.info("source_heard_again", source=source)


def _count(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        count_incidents(outcome)
