"""The job that executes a run."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final
from uuid import UUID

import procrastinate
from pydantic import ValidationError
from structlog.contextvars import bound_contextvars

from ims.core.clock import utc_now
from ims.core.db.engine import database_now
from ims.core.errors import DatabaseAway, IMSError
from ims.core.log import logger
from ims.core.queue import Job, WorkerContext
from ims.runs.events import RunEvent, shifted
from ims.runs.lease import Lease
from ims.runs.metrics import RUN_SECONDS, RUNS
from ims.runs.models import RunOutcome
from ims.runs.preparation import prepare_request
from ims.runs.recap import Outcome, RunResult
from ims.runs.request import RunRequest
from ims.runs.supervision.execution import execute
from ims.runs.supervision.warm import WarmRunners
from ims.runs.usecases import Claim, claim_run, finish_playbook, store_events

_PAUSE: Final = 0.25  # seconds between two attempts while the database is away
_FINAL_WRITE_SECONDS: Final = 3.0
"""Seconds for which a stopping worker tries to write how its run ended."""

_STOPPED: Final = RunResult(Outcome.CANCELLED, "The worker was stopped in the middle of the run.", cut_short=True)
_STOPPED_BEFORE: Final = RunResult(Outcome.CANCELLED, "The worker was stopped before the playbook was started.")

log = logger(__name__)


class LeaseLost(IMSError):
    """This worker has lost the lease of the run."""


def tasks(worker: WorkerContext, warm_runners: WarmRunners) -> procrastinate.Blueprint:
    """The jobs of this domain."""
    blueprint = procrastinate.Blueprint()

    @blueprint.task(name=Job.EXECUTE_RUN.value, queue=Job.EXECUTE_RUN.queue.value)
    async def execute_run(run_id: str) -> None:
        with bound_contextvars(run_id=run_id):
            await claim_and_execute(worker, UUID(run_id), warm_runners)

    return blueprint


async def claim_and_execute(worker: WorkerContext, run_id: UUID, warm_runners: WarmRunners) -> None:
    """Claim the run, execute it while its lease is held, write how it ended; does nothing if it cannot be claimed."""
    begun = asyncio.get_running_loop().time()
    lease = worker.settings.lease_seconds
    claiming = asyncio.create_task(
        worker.transaction(lambda session: claim_run(session, run_id, worker.worker_id, lease, database_now(session)))
    )
    is_stopping = False
    try:
        claim = await asyncio.shield(claiming)
    except asyncio.CancelledError:
        # The thread continues and may commit the claim: then this worker has to write the run's end.
        is_stopping = True
        claim = await claiming
    if claim is None:
        log.info("run_not_claimed")
        return
    log.info("run_claimed", number=claim.number, fence=claim.fence)
    async with Lease(worker.settings, claim, begun) as held:
        await _ClaimedRun(worker, claim, held, warm_runners, is_stopping=is_stopping).carry_out()


class _ClaimedRun:
    def __init__(
        self, worker: WorkerContext, claim: Claim, lease: Lease, warm_runners: WarmRunners, *, is_stopping: bool
    ) -> None:
        self._worker = worker
        self._warm_runners = warm_runners
        self._claim = claim
        self._lease = lease
        self._cancel = asyncio.Event()
        self._is_stopping = is_stopping

    async def carry_out(self) -> None:
        """Execute the playbook and write its end. Raises nothing: an error becomes the run's outcome."""
        try:
            result = _STOPPED_BEFORE if self._is_stopping else await self._execute(await self._prepare())
        except LeaseLost:
            return
        except asyncio.CancelledError:
            self._is_stopping = True
            result = _STOPPED
        except (IMSError, ValidationError, OSError) as error:
            log.warning("run_denied", error=type(error).__name__)
            result = RunResult(Outcome.FAILED, _reason(error))
        if result.outcome is Outcome.CANCELLED and self._lease.lost.is_set():
            # Stopped because the lease was lost: the worker that takes over the run writes how it ended.
            return
        await self._finish(result)

    async def _prepare(self) -> RunRequest:
        while not self._lease.lost.is_set():
            try:
                # Off the event loop; the times of events are counted on from there.
                await self._worker.in_thread(self._worker.database.now)
                return await self._worker.transaction(
                    lambda session: prepare_request(session, self._claim.run_id, self._worker.settings)
                )
            except DatabaseAway:
                await asyncio.sleep(_PAUSE)
        raise LeaseLost

    async def _execute(self, request: RunRequest) -> RunResult:
        """Execute the playbook in a separate task, so that a stop of this worker cancels it in an orderly way."""
        directory = self._worker.settings.state_dir / "runs" / str(self._claim.run_id)
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fencing = asyncio.create_task(self._cancel_when_lost())
        execution = asyncio.create_task(
            execute(
                request, Path(directory), on_events=self._store, cancel=self._cancel, warm_runners=self._warm_runners
            ),
        )
        try:
            return await asyncio.shield(execution)
        except asyncio.CancelledError:
            self._is_stopping = True
            self._cancel.set()
            log.info("run_stopped_with_its_worker")
            result = await execution
            return replace(result, reason=_STOPPED.reason) if result.outcome is Outcome.CANCELLED else result
        finally:
            fencing.cancel()
            await asyncio.gather(fencing, return_exceptions=True)

    async def _cancel_when_lost(self) -> None:
        await self._lease.lost.wait()
        self._cancel.set()

    async def _store(self, events: Sequence[RunEvent]) -> None:
        """Store a batch; retry while the database is away and the lease is held. Raises `LeaseLost`."""
        # Ansible gives events the time of this machine.
        events = shifted(events, self._worker.database.last_known_now() - utc_now())
        while not self._lease.lost.is_set():
            with contextlib.suppress(DatabaseAway):
                if await self._worker.transaction(lambda session: store_events(session, self._claim, events)):
                    return
                log.warning("run_fenced_off", fence=self._claim.fence)
                break
            if self._is_stopping:
                return
            await asyncio.sleep(_PAUSE)
        raise LeaseLost

    async def _finish(self, result: RunResult) -> None:
        """Write the end of the run, retrying while the database is away.

        The playbook is over, so this may take any time: the fencing token decides whether the write still counts.
        """
        writing = asyncio.create_task(self._write_end(result))
        if not self._is_stopping:
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                self._is_stopping = True
        if self._is_stopping:
            # If the write does not succeed in time, the sweep takes over the run when its lease has expired.
            await asyncio.wait([writing], timeout=_FINAL_WRITE_SECONDS)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def _write_end(self, result: RunResult) -> None:
        while True:
            try:
                outcome = await self._worker.transaction(
                    lambda session: finish_playbook(session, self._claim, result, database_now(session))
                )
                break
            except DatabaseAway:
                await asyncio.sleep(_PAUSE)
        if outcome is None:
            log.warning("run_fenced_off", fence=self._claim.fence)
            return
        log.info("run_finished", outcome=outcome.value, rc=result.rc, seconds=round(result.seconds, 2))
        RUN_SECONDS.observe(result.seconds)
        if outcome is not RunOutcome.VERIFYING:
            RUNS.labels(outcome.value).inc()


def _reason(error: Exception) -> str:
    """A sentence for people; the message of a library's error is not used, since it may contain untrusted values."""
    if isinstance(error, IMSError):
        return error.message
    if isinstance(error, ValidationError):
        fields = ", ".join(sorted({str(wrong["loc"][0]) for wrong in error.errors() if wrong["loc"]}))
        return f"The run was denied before anything was started: {fields} does not match the policy."
    return f"The run could not be prepared on its worker ({type(error).__name__})."
