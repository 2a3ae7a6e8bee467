"""What a worker does about sources now and then: ask them for what was missed, and notice who is silent."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Final

from sqlalchemy.orm import Session

from ims.alerts.alertmanager import AlertmanagerAway
from ims.alerts.dead_letters import count_rejected
from ims.alerts.ingest import Outcome
from ims.alerts.metrics import count_incidents
from ims.alerts.reconciliation import Asking, claim_askings, finish_asking, mend
from ims.alerts.snapshot import fetch_snapshot
from ims.alerts.stale_sources import silences, turn_silent
from ims.core.clock import utc_now
from ims.core.errors import ConfigurationFaulty
from ims.core.log import logger
from ims.core.queue import WorkerContext
from ims.sources.metrics import HELD, REJECTED_KEPT, REPAIRED, REPAIRS, SILENT
from ims.sources.queries import held_back

AT_ONCE: Final = 4
"""Alertmanagers that one worker asks at once."""
_MOST_COUNTED: Final = 10_000

log = logger(__name__)


async def watch_sources(worker: WorkerContext) -> None:
    """Ask the sources that are due, mend what they tell, then see who is silent. Raises `DatabaseAway`."""
    every = timedelta(seconds=worker.settings.repair_seconds)
    askings = await worker.transaction(lambda session: claim_askings(session, every, utc_now()))
    gate = asyncio.Semaphore(AT_ONCE)

    async def in_turn(asking: Asking) -> None:
        async with gate:
            await _ask(worker, asking)

    await asyncio.gather(*(in_turn(asking) for asking in askings))
    await _notice_silence(worker)
    await worker.transaction(_read_figures)


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


async def _notice_silence(worker: WorkerContext) -> None:
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


def _read_figures(session: Session) -> None:
    SILENT.clear()
    for source, is_silent in silences(session):
        SILENT.labels(source).set(is_silent)
    HELD.clear()
    for source, alerts in held_back(session):
        HELD.labels(source).set(alerts)
    REJECTED_KEPT.set(count_rejected(session, _MOST_COUNTED))
