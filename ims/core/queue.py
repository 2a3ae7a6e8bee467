"""Jobs: how they are deferred inside a transaction, and what a worker hands to them.

Procrastinate keeps jobs in our PostgreSQL, so a job and what caused it are one commit. Playbooks wait in a queue for
each pool of workers, `runs:<pool>`; `fast` is for everything that must not wait behind one.

Never a `queueing_lock` here: a collision would abort the caller's transaction, and the alert in it would be lost.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache, partial
from typing import Any, Final, ParamSpec, TypeVar

import procrastinate
from procrastinate.exceptions import ConnectorException
from sqlalchemy.orm import Session

from ims.core.clock import utc_now
from ims.core.db.direct import Execute
from ims.core.db.engine import Database, jobs_connection
from ims.core.errors import DatabaseAway
from ims.core.settings import DEFAULT_POOL, Settings
from ims.core.sharding import EVERYTHING, Shard

P = ParamSpec("P")
T = TypeVar("T")


RUNS_PREFIX: Final = "runs:"
_BEFORE_POOLS: Final = "runs"
"""Where runs waited before there were pools; after an upgrade some may still be there."""


class Queue(StrEnum):
    """Where jobs wait that name no queue themselves."""

    RUNS = f"{RUNS_PREFIX}{DEFAULT_POOL}"
    FAST = "fast"


def runs_queue(pool: str) -> str:
    """Where runs wait for the workers of a pool."""
    return f"{RUNS_PREFIX}{pool}"


def pool_of(queue: str) -> str | None:
    """The pool whose workers take jobs from a queue; None if all do."""
    if queue == _BEFORE_POOLS:
        return DEFAULT_POOL
    return queue.removeprefix(RUNS_PREFIX) if queue.startswith(RUNS_PREFIX) else None


def queues_of(pools: Sequence[str]) -> list[str]:
    """The queues of runs that a worker of these pools takes jobs from."""
    return [*map(runs_queue, pools), *([_BEFORE_POOLS] if DEFAULT_POOL in pools else [])]


class Job(StrEnum):
    """Every job by name; the value is the task's name in the database."""

    DECIDE = "decide"
    EXECUTE_RUN = "execute_run"
    VERIFY_RUN = "verify_run"
    FETCH_TRUNCATED = "fetch_truncated"
    SETTLE_INCIDENT = "settle_incident"
    INCIDENTS_CHANGED = "incidents_changed"

    @property
    def queue(self) -> Queue:
        """Where this job waits unless its caller says otherwise."""
        return Queue.RUNS if self is Job.EXECUTE_RUN else Queue.FAST


@cache
def _deferring_app() -> procrastinate.App:
    """An app that is never opened: with `connection=` it writes on the caller's connection."""
    return procrastinate.App(connector=procrastinate.SyncPsycopgConnector())


def defer(
    session: Session, job: Job, *, after: timedelta | None = None, queue: str | None = None, **arguments: Any
) -> int:
    """Write a job in the session's transaction and return its id; it starts once the transaction has committed.

    `arguments` are ids, never content. `after` delays the start, `queue` is another one than the job's own. Raises
    `DatabaseAway`.
    """
    when: dict[str, Any] = {"schedule_at": utc_now() + after} if after else {}
    deferrer = _deferring_app().configure_task(
        job.value, queue=queue or job.queue.value, connection=jobs_connection(session), **when
    )
    try:
        return deferrer.defer(**arguments)
    except ConnectorException as error:
        # Procrastinate hides what the driver said; the transaction is lost either way and the caller starts anew.
        raise DatabaseAway from error


# Procrastinate's own function. No lock, and its usual priority.
_DEFER: Final = """
    SELECT procrastinate_defer_jobs_v1(ARRAY[
        ROW(%(queue)s, %(task)s, 0, NULL, NULL, %(arguments)s::jsonb, %(when)s::timestamptz)
    ]::procrastinate_job_to_defer_v1[])
    """


def defer_by(execute: Execute, job: Job, *, after: timedelta | None = None, **arguments: Any) -> None:
    """The same as `defer` for whoever has no session; the id is not waited for."""
    when = utc_now() + after if after else None
    execute(_DEFER, {"queue": job.queue.value, "task": job.value, "arguments": json.dumps(arguments), "when": when})


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What a worker hands to its jobs."""

    settings: Settings
    database: Database
    worker_id: str
    """Unique for each start of a worker: host, process id, random."""
    threads: ThreadPoolExecutor
    """Where blocking database work is done: never on the event loop, which renews leases."""
    watching_since: datetime = field(default_factory=utc_now)
    """When this worker began. What did not come before that is held against nobody: we were not there to hear it."""
    shard: Shard = EVERYTHING
    """What an engine module of scope `sharded` works on, for this one run of it."""

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a blocking function in the pool and wait for its result."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, partial(function, *args, **kwargs))

    async def transaction(self, work: Callable[[Session], T]) -> T:
        """Do `work` in one transaction, in the pool. Raises `DatabaseAway`."""

        def inside() -> T:
            with self.database.begin() as session:
                return work(session)

        return await self.in_thread(inside)
