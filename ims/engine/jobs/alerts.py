"""The jobs that fetch truncated alerts, and that resolve incidents after a quiet time."""

from collections.abc import Sequence
from uuid import UUID

import procrastinate
from sqlalchemy.orm import Session

from ims.alerts.alertmanager import AlertmanagerAway
from ims.alerts.ingest import Outcome, ingest, resolve_quiet
from ims.alerts.notifications import AlertNotification, Rejected
from ims.alerts.snapshot import fetch_deliverable
from ims.alerts.truncation import record_truncated
from ims.core.db.engine import database_now
from ims.core.errors import DatabaseAway, NotFound
from ims.core.log import logger
from ims.core.queue import Job, WorkerContext
from ims.incidents.metrics import count_resolved
from ims.policy.queries import policy_in_force
from ims.policy.schema import QuietTime
from ims.sources.queries import source_named

log = logger(__name__)

CHUNK = 1_000
"""Notifications in one transaction; more would hold locks for so long that the webhook waits."""

# 2, 4, 8 … seconds, about half an hour in all; the sender's next notification starts a new job.
_AGAIN = procrastinate.RetryStrategy(
    max_attempts=10, exponential_wait=2, retry_exceptions=[AlertmanagerAway, DatabaseAway]
)


def tasks(worker: WorkerContext) -> procrastinate.Blueprint:
    """The jobs of this domain."""
    blueprint = procrastinate.Blueprint()

    @blueprint.task(name=Job.FETCH_TRUNCATED.value, queue=Job.FETCH_TRUNCATED.queue.value, retry=_AGAIN)
    async def fetch_truncated(
        source: str, receiver: str | None = None, alerts: int = 0, fingerprints: Sequence[str] = ()
    ) -> None:
        await fetch(worker, source, receiver, alerts, fingerprints)

    @blueprint.task(name=Job.SETTLE_INCIDENT.value, queue=Job.SETTLE_INCIDENT.queue.value, retry=_AGAIN)
    async def settle_incident(incident_ids: list[str]) -> None:
        ids = [UUID(id_) for id_ in incident_ids]
        resolved = await worker.transaction(lambda session: settle(session, ids))
        count_resolved(resolved.values())
        log.info("incidents_settled", waited_for=len(ids), resolved=len(resolved))

    return blueprint


def settle(session: Session, incident_ids: list[UUID]) -> dict[UUID, float]:
    """Resolve incidents that were quiet for as long as the active policy requires.

    Returns for how many seconds each resolved incident was open.
    """
    auto_resolve = policy_in_force(session).correlation.auto_resolve
    if auto_resolve == "never":
        return {}
    quiet = auto_resolve.quiet if isinstance(auto_resolve, QuietTime) else 0.0
    return resolve_quiet(session, incident_ids, quiet, database_now(session))


async def fetch(
    worker: WorkerContext, source: str, receiver: str | None, alerts: int = 0, fingerprints: Sequence[str] = ()
) -> int:
    """Fetch the alerts that a truncated notification left out from the source's own Alertmanager.

    Returns how many alerts the group has for `receiver`. Known alerts count as duplicates and cost little. Without an
    Alertmanager, the number is recorded at the source and in incidents. Raises `AlertmanagerAway` and `DatabaseAway`.
    """
    try:
        url = await worker.transaction(lambda session: source_named(session, source).alertmanager_url)
    except NotFound:
        url = None
    if not url:
        log.warning("truncated_without_alertmanager", source=source, alerts=alerts)
        if alerts:
            await worker.transaction(
                lambda session: record_truncated(session, source, alerts, fingerprints, database_now(session))
            )
        return 0
    now = await worker.transaction(database_now)
    notifications, rejected = await fetch_deliverable(source, url, receiver, now, fingerprints)
    for start in range(0, max(len(notifications), 1), CHUNK):
        chunk = notifications[start : start + CHUNK]
        await worker.in_thread(_take, worker, chunk, rejected if start == 0 else [])
    log.info("truncated_fetched", source=source, alerts=len(notifications), rejected=len(rejected))
    return len(notifications)


def _take(worker: WorkerContext, notifications: list[AlertNotification], rejected: list[Rejected]) -> Outcome:
    with worker.database.begin() as session:
        return ingest(session, notifications, rejected, policy_in_force(session), database_now(session))
