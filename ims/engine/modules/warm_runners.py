"""Engine module: keep warm runners ready for the next runs."""

from collections.abc import Awaitable, Callable

from sqlalchemy.orm import Session

from ims.core.queue import WorkerContext
from ims.core.settings import Settings
from ims.policy.queries import active_digest
from ims.runs.preparation import run_context_of
from ims.runs.request import RunContext
from ims.runs.supervision.warm import WarmRunners


def keeping(warm_runners: WarmRunners) -> Callable[[WorkerContext], Awaitable[None]]:
    """The module's run: starts missing warm runners and replaces those of another policy than the active one."""

    async def keep_warm_runners(worker: WorkerContext) -> None:
        run_context = await worker.transaction(lambda session: _active_run_contexts(session, worker.settings))
        if run_context is not None:
            await warm_runners.keep(run_context)

    return keep_warm_runners


def _active_run_contexts(session: Session, settings: Settings) -> RunContext | None:
    digest = active_digest(session)
    return None if digest is None else run_context_of(session, digest, settings)
