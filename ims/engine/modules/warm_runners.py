"""Engine module: keep processes ready for the runs to come."""

from collections.abc import Awaitable, Callable

from sqlalchemy.orm import Session

from ims.core.queue import WorkerContext
from ims.core.settings import Settings
from ims.policy.queries import active_digest
from ims.runs.preparation import premises_of
from ims.runs.request import Premises
from ims.runs.supervision.warm import Spares


def keeping(spares: Spares) -> Callable[[WorkerContext], Awaitable[None]]:
    """The module's run: replaces what is missing or made for another policy than the active one."""

    async def keep_warm_runners(worker: WorkerContext) -> None:
        premises = await worker.transaction(lambda session: _active_premises(session, worker.settings))
        if premises is not None:
            await spares.keep(premises)

    return keep_warm_runners


def _active_premises(session: Session, settings: Settings) -> Premises | None:
    digest = active_digest(session)
    return None if digest is None else premises_of(session, digest, settings)
