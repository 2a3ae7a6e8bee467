"""Engine modules run at their own interval and scope; a failing module runs again and does not affect the others."""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from ims.core.db.engine import Database
from ims.core.errors import DatabaseAway
from ims.core.queue import WorkerContext
from ims.core.settings import Settings, load_settings
from ims.core.sharding import Shard
from ims.engine import module as engine
from ims.engine.membership import Membership
from ims.engine.module import Module, Reports, Result, Scope, run_modules
from ims.engine.modules.catalogue import engine_modules


@dataclass
class Place:
    """A worker's share of the work, chosen by the test."""

    is_leader: bool = True
    shard: Shard = field(default_factory=lambda: Shard("a", frozenset({"a", "b"})))


@pytest.fixture
def worker(tmp_path_factory: pytest.TempPathFactory) -> Any:
    settings = load_settings({"IMS_STATE_DIR": str(tmp_path_factory.mktemp("state"))})
    with ThreadPoolExecutor(2) as threads:
        yield WorkerContext(settings, cast(Database, None), "a", threads)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MOST_JITTER", 0.0)
    monkeypatch.setattr(engine, "_LEADER_CHECK_SECONDS", 0.01)


def run_until(
    worker: WorkerContext, enough: Callable[[], bool], modules: Sequence[Module], place: Place | None = None
) -> Reports:
    """Run the modules until the test has seen enough."""
    reports = Reports()

    async def work() -> None:
        running = asyncio.create_task(run_modules(modules, worker, place or Place(), reports))
        while not enough():  # noqa: ASYNC110 - what the test has seen is no event
            await asyncio.sleep(0.005)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(asyncio.wait_for(work(), 20))
    return reports


@pytest.mark.parametrize(
    ("failure", "result"),
    [
        (DatabaseAway(), Result.DATABASE_AWAY),
        (ValueError("broken"), Result.FAILED),
        (ExceptionGroup("all", [ValueError("x")]), Result.FAILED),
        (asyncio.CancelledError(), Result.FAILED),
    ],
    ids=["database", "error", "group", "cancelled-inside"],
)
def test_a_failing_module_runs_again_and_the_others_continue(
    worker: WorkerContext, failure: BaseException, result: Result
) -> None:
    tries, others = [], []

    async def fail(_: WorkerContext) -> None:
        tries.append(1)
        raise failure

    async def work(_: WorkerContext) -> None:
        others.append(1)

    def count() -> float:
        labels = {"module": "fail", "result": result.value}
        return REGISTRY.get_sample_value("ims_engine_module_runs_total", labels) or 0

    before = count()
    reports = run_until(
        worker,
        lambda: len(tries) >= 3 and len(others) >= 3,
        [Module("fail", 0.01, Scope.EACH, fail), Module("work", 0.01, Scope.EACH, work)],
    )
    assert count() - before >= 3
    assert (reports.last["fail"].result, reports.last["work"].result) == (result, Result.OK)


def test_a_failure_is_logged_once_until_it_changes_or_ends(worker: WorkerContext) -> None:
    failures: list[Exception | None] = [ValueError("a"), ValueError("b"), KeyError("c"), None, None, ValueError("d")]
    left = list(failures)

    async def fail(_: WorkerContext) -> None:
        if left and (failure := left.pop(0)):
            raise failure

    with capture_logs() as logs:
        run_until(worker, lambda: not left, [Module("fail", 0.001, Scope.EACH, fail)])
    said = [entry["event"] for entry in logs if entry.get("module") == "fail"]
    once = ["engine_module_failed", "engine_module_failed", "engine_module_recovered", "engine_module_failed"]
    assert said[: len(once)] == once


@pytest.mark.parametrize("is_in_thread", [False, True])
def test_a_module_that_hangs_keeps_no_other_waiting(worker: WorkerContext, is_in_thread: bool) -> None:
    others: list[int] = []

    async def hang(_: WorkerContext) -> None:
        await asyncio.sleep(3600)

    def hang_in_thread(_: WorkerContext) -> None:
        while len(others) < 3:
            time.sleep(0.005)

    async def work(_: WorkerContext) -> None:
        others.append(1)

    run_until(
        worker,
        lambda: len(others) >= 3,
        [
            Module("hang", 0.01, Scope.EACH, hang_in_thread if is_in_thread else hang),
            Module("work", 0.01, Scope.EACH, work),
        ],
    )


def test_only_the_leader_runs_modules_of_scope_leader_and_a_new_leader_begins_at_once(worker: WorkerContext) -> None:
    place, led, own = Place(is_leader=False), [], []

    async def lead(_: WorkerContext) -> None:
        led.append(1)

    async def work(_: WorkerContext) -> None:
        own.append(1)
        # No module of scope leader has run until now; from now on this worker is leader.
        if len(own) == 5:
            assert not led
            place.is_leader = True

    modules = [Module("lead", 3600, Scope.LEADER, lead), Module("work", 0.01, Scope.EACH, work)]
    run_until(worker, lambda: bool(led), modules, place)
    assert len(own) >= 5


def test_a_sharded_module_gets_the_shard_of_the_moment(worker: WorkerContext) -> None:
    place, shards = Place(), []

    async def work(own: WorkerContext) -> None:
        shards.append(own.shard.members)
        place.shard = Shard("a", frozenset({"a"}))

    run_until(worker, lambda: len(shards) >= 2, [Module("work", 0.001, Scope.SHARDED, work)], place)
    assert shards[:2] == [{"a", "b"}, {"a"}]


def test_an_interval_may_come_from_the_settings(worker: WorkerContext) -> None:
    def never(settings: Settings) -> float:
        return settings.lease_seconds

    async def work(_: WorkerContext) -> None:
        """Nothing."""

    assert Module("work", never, Scope.EACH, work).seconds(worker.settings) == worker.settings.lease_seconds


@pytest.fixture
def catalogue(worker: WorkerContext) -> Sequence[Module]:
    """All modules; the tests look only at their names, intervals and scopes."""

    class NoPools:
        async def retry_lost_jobs(self, _: WorkerContext) -> None:
            """Nothing."""

    unused = cast(Any, None)
    return engine_modules(Membership(worker, Reports()), cast(Any, NoPools()), unused, unused)


def test_every_module_has_its_own_name_and_time(worker: WorkerContext, catalogue: Sequence[Module]) -> None:
    assert len({module.name for module in catalogue}) == len(catalogue)
    assert all(module.seconds(worker.settings) >= 1 for module in catalogue)
    assert {module.scope for module in catalogue} == set(Scope)


def test_the_documentation_lists_every_module_with_its_scope(catalogue: Sequence[Module]) -> None:
    page = (Path(__file__).parents[3] / "docs/how-to/workers.md").read_text()
    rows = re.findall(r"(?m)^\| `(\w+)` \| [^|]+ \| (each|leader|sharded) \|", page)
    assert rows == [(module.name, module.scope.value) for module in catalogue]
