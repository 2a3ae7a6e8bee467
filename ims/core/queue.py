"""Jobs: how they are deferred inside a transaction, and the context that a worker passes to them.

Procrastinate keeps jobs in our PostgreSQL, so a job and the change that caused it are one commit. Each pool of workers
has a queue for playbooks, `runs:<pool>`; queue `fast` is for everything that must not wait behind a playbook.

Never use a `queueing_lock` here: a collision would abort the caller's transaction, and the alert in it would be lost.
"""

import asyncio
import json
import time
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

from ims.core.db.direct import Execute
from ims.core.db.engine import Database, database_now, jobs_connection
from ims.core.errors import DatabaseAway
from ims.core.settings import DEFAULT_POOL, Settings
from ims.core.sharding import EVERYTHING, Shard

P = ParamSpec("P")
T = TypeVar("T")


RUNS_PREFIX: Final = "runs:"
_BEFORE_POOLS: Final = "runs"
"""The queue of runs before there were pools; after an upgrade it may still hold some."""


class Queue(StrEnum):
    """The default queues of jobs."""

    RUNS = f"{RUNS_PREFIX}{DEFAULT_POOL}"
    FAST = "fast"


def runs_queue(pool: str) -> str:
    """The queue of runs for the workers of a pool."""
    return f"{RUNS_PREFIX}{pool}"


def pool_of(queue: str) -> str | None:
    """The pool whose workers take jobs from a queue; None if all workers do."""
    if queue == _BEFORE_POOLS:
        return DEFAULT_POOL
    return queue.removeprefix(RUNS_PREFIX) if queue.startswith(RUNS_PREFIX) else None


def queues_of(pools: Sequence[str]) -> list[str]:
    """The queues from which a worker of these pools takes runs."""
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
        """The queue of this job unless its caller names another."""
        return Queue.RUNS if self is Job.EXECUTE_RUN else Queue.FAST


@cache
def _deferring_app() -> procrastinate.App:
    """An app that is never opened: with `connection=` it writes through the caller's connection."""
    return procrastinate.App(connector=procrastinate.SyncPsycopgConnector())


def defer(
    session: Session, job: Job, *, after: timedelta | None = None, queue: str | None = None, **arguments: Any
) -> int:
    """Write a job in the session's transaction and return its id; it starts once the transaction has committed.

    `arguments` are ids, never content. `after` delays the start, `queue` overrides the job's own queue. Raises
    `DatabaseAway`.
    """
    when: dict[str, Any] = {"schedule_at": database_now(session) + after} if after else {}
    deferrer = _deferring_app().configure_task(
        job.value, queue=queue or job.queue.value, connection=jobs_connection(session), **when
    )
    try:
        return deferrer.defer(**arguments)
    except ConnectorException as error:
        # Procrastinate hides the driver's error; the transaction is lost either way, and the caller starts again.
        raise DatabaseAway from error


# Procrastinate's own function, without a lock and with the default priority.
_DEFER: Final = """
    SELECT procrastinate_defer_jobs_v1(ARRAY[
        ROW(%(queue)s, %(task)s, 0, NULL, NULL, %(arguments)s::jsonb,
            clock_timestamp() + make_interval(secs => %(after)s::double precision))
    ]::procrastinate_job_to_defer_v1[])
    """


def defer_by(execute: Execute, job: Job, *, after: timedelta | None = None, **arguments: Any) -> None:
    """Like `defer`, but without a session and without waiting for the job's id."""
    seconds = after.total_seconds() if after else None
    execute(_DEFER, {"queue": job.queue.value, "task": job.value, "arguments": json.dumps(arguments), "after": seconds})


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What a worker passes to its jobs and engine modules."""

    settings: Settings
    database: Database
    worker_id: str
    """Unique for each start of a worker: host, process id, random."""
    threads: ThreadPoolExecutor
    """Threads for blocking database work, which must not block the event loop: that renews leases."""
    started: float = field(default_factory=time.monotonic)
    """When this worker started, in seconds of `time.monotonic`."""
    shard: Shard = EVERYTHING
    """The part of the keys that an engine module of scope `sharded` works on in its present run."""

    def watching_since(self, now: datetime) -> datetime:
        """When this worker started, by the clock of `now`.

        Data that is missing from before does not count as missed: no worker was watching.
        """
        return now - timedelta(seconds=time.monotonic() - self.started)

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a blocking function in a thread and wait for its result."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, partial(function, *args, **kwargs))

    async def transaction(self, work: Callable[[Session], T]) -> T:
        """Do `work` in one transaction, in a thread. Raises `DatabaseAway`."""

        def inside() -> T:
            with self.database.begin() as session:
                return work(session)

        return await self.in_thread(inside)
