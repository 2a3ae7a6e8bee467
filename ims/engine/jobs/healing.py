"""The jobs that decide about episodes and verify runs."""

import asyncio
from datetime import datetime
from typing import Final
from uuid import UUID

import procrastinate
from structlog.contextvars import bound_contextvars

from ims.core.db.engine import database_now
from ims.core.errors import DatabaseAway, IMSError
from ims.core.log import logger
from ims.core.queue import Job, WorkerContext
from ims.healing.decide import decide
from ims.healing.metrics import DECISIONS, PROBES, VERIFICATION_SECONDS
from ims.healing.verification import Watch, alert_over, watch, watch_of
from ims.monitor.probe import ProbeResult, probe
from ims.runs.metrics import RUNS
from ims.runs.models import RunOutcome
from ims.runs.usecases import Finding, finish_verification

_PAUSE: Final = 0.5  # seconds between two attempts while the database is away

log = logger(__name__)


def tasks(worker: WorkerContext) -> procrastinate.Blueprint:
    """The jobs of this domain."""
    blueprint = procrastinate.Blueprint()

    @blueprint.task(name=Job.DECIDE.value, queue=Job.DECIDE.queue.value)
    async def decide_about(episode_ids: list[int]) -> None:
        decisions = await worker.transaction(lambda session: decide(session, episode_ids, database_now(session)))
        for decision in decisions:
            DECISIONS.labels(decision.verdict.reason).inc()
            log.info(
                "decided",
                episode=decision.episode_id,
                incident_id=str(decision.incident_id),
                reason=decision.verdict.reason,
                rule=decision.rule_name,
                number=decision.number,
            )

    @blueprint.task(name=Job.VERIFY_RUN.value, queue=Job.VERIFY_RUN.queue.value)
    async def verify_run(run_id: str) -> None:
        with bound_contextvars(run_id=run_id):
            await verify(worker, UUID(run_id))

    return blueprint


async def verify(worker: WorkerContext, run_id: UUID) -> None:
    """Watch the service of a run and write the outcome; does nothing if the run has no pending verification.

    May be repeated, and may run twice at once: the first to finish writes the outcome.
    """
    begun = asyncio.get_running_loop().time()
    try:
        plan = await worker.transaction(lambda session: watch_of(session, run_id))
    except DatabaseAway:
        raise
    except IMSError as error:
        # The run's spec is no longer readable: without a verification window nothing can be verified.
        await _write(worker, run_id, Finding(None, error.message), begun)
        return
    if plan is not None:
        await _write(worker, run_id, await _watch(worker, plan), begun)


async def _watch(worker: WorkerContext, plan: Watch) -> Finding:
    async def is_over() -> datetime | None:
        try:
            return await worker.transaction(lambda session: alert_over(session, plan.episode_id))
        except DatabaseAway:
            return None

    async def counted_probe(url: str) -> ProbeResult:
        result = await probe(url)
        PROBES.labels("up" if result.is_healthy else "down").inc()
        return result

    # Asked here, off the event loop; counted on from there.
    await worker.in_thread(worker.database.now)
    return await watch(plan, counted_probe, is_over, worker.database.last_known_now)


async def _write(worker: WorkerContext, run_id: UUID, finding: Finding, begun: float) -> None:
    while True:
        try:
            ended = await worker.transaction(
                lambda session: finish_verification(session, run_id, finding, database_now(session))
            )
            break
        except DatabaseAway:
            # Keep the finding and retry only the write: watching again would take longer.
            await asyncio.sleep(_PAUSE)
    if ended is None:
        return
    VERIFICATION_SECONDS.observe(asyncio.get_running_loop().time() - begun)
    if ended.outcome is not RunOutcome.UNKNOWN:  # counted when the run was lost
        RUNS.labels(ended.outcome.value).inc()
    log.info("run_verified", outcome=ended.outcome.value, is_healthy=finding.healthy_since is not None)
