"""Engine modules: periodic tasks of a worker, each with a name, an interval and a scope.

A module that does not run in time costs nothing but delay: work that must not be lost is a job. Leadership and shards
keep workers from doing the same work at once, but do not guarantee it: a worker that was suspended may believe for a
moment that it is still leader. So a module takes only rows that no other worker is working on, whatever its scope.
"""

import asyncio
import inspect
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol

from prometheus_client import Counter, Gauge, Summary

from ims.core.errors import DatabaseAway
from ims.core.log import logger
from ims.core.queue import WorkerContext
from ims.core.settings import Settings
from ims.core.sharding import Shard

MODULE_RUNS = Counter("ims_engine_module_runs", "Runs of engine modules, by result.", ["module", "result"])
MODULE_SECONDS = Summary("ims_engine_module_seconds", "Duration of the runs of engine modules.", ["module"])
LAST_SUCCESS = Gauge(
    "ims_engine_module_last_success_timestamp_seconds", "When this worker last ran a module successfully.", ["module"]
)

MOST_JITTER: Final = 5.0
"""Upper bound, in seconds, of the random delay before a module's first run, for workers that start together."""
_LEADER_CHECK_SECONDS: Final = 1.0
"""Seconds after which a worker that is not leader checks again whether it is."""

log = logger(__name__)


class Scope(StrEnum):
    """Which workers run a module."""

    EACH = "each"
    """Every worker, for its own things or those of its machine."""
    LEADER = "leader"
    """The leader only, for things that exist once in the installation."""
    SHARDED = "sharded"
    """Every worker, each for its part of the keys: `WorkerContext.shard`."""


class Result(StrEnum):
    """How a run of a module ended."""

    OK = "ok"
    FAILED = "failed"
    DATABASE_AWAY = "database_away"


@dataclass(frozen=True, slots=True)
class Module:
    """A periodic task of a worker. A `run` that is not a coroutine function is called in a thread."""

    name: str
    interval: float | Callable[[Settings], float]
    """Seconds from the end of one run to the beginning of the next."""
    scope: Scope
    run: Callable[[WorkerContext], Awaitable[None]] | Callable[[WorkerContext], None]

    def seconds(self, settings: Settings) -> float:
        return self.interval(settings) if callable(self.interval) else self.interval


class Turn(Protocol):
    """A worker's share of the work: whether it is leader, and its shard. `Membership` provides it."""

    @property
    def is_leader(self) -> bool:
        """Whether the worker is leader at this moment."""

    @property
    def shard(self) -> Shard:
        """The worker's part of all keys."""


@dataclass(frozen=True, slots=True)
class LastRun:
    """How a module's last run in this worker ended."""

    ended: float
    """In seconds of `time.monotonic`."""
    result: Result
    seconds: float
    error: str | None = None
    """The type of the error, never its text, which may contain untrusted values."""

    def to_json(self, now: datetime) -> dict[str, Any]:
        """The value in `worker.modules`, with times by the clock of `now`."""
        ended_at = now - timedelta(seconds=time.monotonic() - self.ended)
        run = {"ended_at": ended_at.isoformat(), "result": self.result.value, "seconds": round(self.seconds, 3)}
        return run | ({"error": self.error} if self.error else {})


@dataclass(slots=True)
class Reports:
    """The last run of each module of this worker, by name."""

    last: dict[str, LastRun] = field(default_factory=dict)
    changes: int = 0
    """Incremented whenever a module's result differs from the one before."""

    def note(self, module: Module, run: LastRun) -> None:
        """Record how a run ended, and update the metrics."""
        before = self.last.get(module.name)
        self.changes += before is None or (before.result, before.error) != (run.result, run.error)
        self.last[module.name] = run
        MODULE_RUNS.labels(module.name, run.result.value).inc()
        MODULE_SECONDS.labels(module.name).observe(run.seconds)
        if run.result is Result.OK:
            LAST_SUCCESS.labels(module.name).set_to_current_time()


async def run_modules(modules: Sequence[Module], worker: WorkerContext, turn: Turn, reports: Reports) -> None:
    """Run all modules, each at its own interval, until cancelled. An error in a module is logged, not raised."""
    async with asyncio.TaskGroup() as group:
        for module in modules:
            group.create_task(_keep_running(module, worker, turn, reports), name=module.name)


async def _keep_running(module: Module, worker: WorkerContext, turn: Turn, reports: Reports) -> None:
    seconds = module.seconds(worker.settings)
    await asyncio.sleep(random.uniform(0, min(seconds, MOST_JITTER)))  # noqa: S311 - nothing secret
    while True:
        if module.scope is Scope.LEADER and not turn.is_leader:
            # The last run, from when this worker was leader, is out of date.
            reports.last.pop(module.name, None)
            await asyncio.sleep(min(seconds, _LEADER_CHECK_SECONDS))
            continue
        own = replace(worker, shard=turn.shard) if module.scope is Scope.SHARDED else worker
        await _run_once(module, own, reports)
        await asyncio.sleep(seconds)


async def _run_once(module: Module, worker: WorkerContext, reports: Reports) -> None:
    """Run a module and record how it ended. A failure is logged when it first occurs, not each time."""
    before = reports.last.get(module.name)
    begun, result, kind = time.monotonic(), Result.OK, None
    try:
        await _call(module, worker)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        result, kind = Result.FAILED, type(error).__name__  # a task inside the module was cancelled, not the module
    except DatabaseAway:
        result = Result.DATABASE_AWAY
        if before is None or before.result is not result:
            log.warning("engine_module_waits_for_database", module=module.name)
    except Exception as error:
        result, kind = Result.FAILED, type(error).__name__
        if before is None or before.error != kind:
            log.exception("engine_module_failed", module=module.name)
    if result is Result.OK and before is not None and before.result is not Result.OK:
        log.info("engine_module_recovered", module=module.name)
    ended = time.monotonic()
    reports.note(module, LastRun(ended, result, ended - begun, kind))


async def _call(module: Module, worker: WorkerContext) -> None:
    if inspect.iscoroutinefunction(module.run):
        await module.run(worker)
    else:
        await worker.in_thread(module.run, worker)
