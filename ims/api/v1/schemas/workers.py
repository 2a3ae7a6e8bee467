"""Workers and unserved pools."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from ims.core.schemas import Listing, ResponseModel
from ims.workers.queries import ListedWorker, SeenState, UnservedPool


class WorkerCapacity(ResponseModel):
    """How many jobs a worker runs concurrently."""

    runs: Annotated[int, Field(description="Runs of playbooks.")]
    fast: Annotated[int, Field(description="Other jobs.")]


class ModuleRun(ResponseModel):
    """The last run of an engine module in a worker."""

    module: str
    ended_at: datetime
    result: Literal["ok", "failed", "database_away"]
    seconds: float
    error: Annotated[str | None, Field(description="The type of the error, if it failed; the log has its message.")] = (
        None
    )


class WorkerResponse(ResponseModel):
    """One worker process."""

    id: Annotated[str, Field(description="Unique for each start of a worker.")]
    host: str
    pid: int
    state: Annotated[
        SeenState,
        Field(description="As reported by the worker; `lost`: no heartbeat for ten seconds."),
    ]
    is_leader: Annotated[bool, Field(description="The leader runs the engine modules that must run only once.")]
    pools: Annotated[list[str], Field(description="It takes the runs of these pools.", examples=[["default"]])]
    capacity: WorkerCapacity
    version: str
    started_at: datetime
    heartbeat_at: datetime
    modules: Annotated[list[ModuleRun], Field(description="By name; up to ten seconds old.")]


class UnservedPoolResponse(ResponseModel):
    """A pool with waiting runs that no worker serves."""

    pool: str
    jobs: int


class WorkerList(Listing[WorkerResponse]):
    """A page of the list of workers."""

    unserved_pools: Annotated[
        list[UnservedPoolResponse], Field(description="Pools with waiting runs that no worker serves.")
    ]


def list_of(listed: Sequence[ListedWorker], following: str | None, waiting: Sequence[UnservedPool]) -> WorkerList:
    pools = [UnservedPoolResponse(pool=one.pool, jobs=one.jobs) for one in waiting]
    return WorkerList(items=[show_worker(one) for one in listed], next=following, unserved_pools=pools)


def show_worker(listed: ListedWorker) -> WorkerResponse:
    row = listed.row
    same = ("id", "host", "pid", "pools", "version", "started_at", "heartbeat_at")
    return WorkerResponse(
        **{name: getattr(row, name) for name in same},
        state=listed.state,
        is_leader=listed.is_leader,
        capacity=WorkerCapacity(runs=row.run_capacity, fast=row.fast_capacity),
        modules=[ModuleRun(module=name, **run) for name, run in sorted(row.modules.items())],
    )
