"""What a worker does for runs besides executing them: it keeps children ready for those to come."""

import asyncio
from typing import Final

from sqlalchemy.orm import Session

from ims.core.errors import DatabaseAway
from ims.core.log import logger
from ims.core.queue import WorkerContext
from ims.core.settings import Settings
from ims.policy.queries import active_digest
from ims.runs.preparation import premises_of
from ims.runs.request import Premises
from ims.runs.supervision.warm import Spares

_PAUSE: Final = 1.0
"""Seconds between two looks whether a spare child is missing or outdated."""

log = logger(__name__)


async def keep_spares(worker: WorkerContext, spares: Spares) -> None:
    """Keep children ready for runs of the active policy, until cancelled; what goes wrong is only logged."""
    while True:
        try:
            premises = await worker.transaction(lambda session: _active_premises(session, worker.settings))
            if premises is not None:
                await spares.keep(premises)
        except DatabaseAway:
            pass  # the sweep tells it
        except Exception:
            log.exception("spare_child_not_started")
        await asyncio.sleep(_PAUSE)


def _active_premises(session: Session, settings: Settings) -> Premises | None:
    digest = active_digest(session)
    return None if digest is None else premises_of(session, digest, settings)
