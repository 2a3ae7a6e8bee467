"""A chore that fails is done again, and hinders no other."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from ims.core.errors import DatabaseAway
from ims.core.queue import WorkerContext
from ims.engine.periodic import loop as chores
from ims.engine.periodic.loop import Chore, do_chores

NOBODY = cast(WorkerContext, None)


def do_for(monkeypatch: pytest.MonkeyPatch, *planned: Callable[[asyncio.Event], Chore]) -> None:
    """Do the chores until one of them says that it is enough."""

    async def work() -> None:
        enough = asyncio.Event()
        monkeypatch.setattr(chores, "CHORES", [plan(enough) for plan in planned])
        working = asyncio.create_task(do_chores(NOBODY))
        await enough.wait()
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working

    asyncio.run(asyncio.wait_for(work(), 20))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chores.random, "uniform", lambda *_: 0)


@pytest.mark.parametrize("failure", [DatabaseAway(), ValueError("broken"), ExceptionGroup("all", [ValueError("x")])])
def test_a_failing_chore_is_done_again_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    tries: list[int] = []

    async def fail(_: WorkerContext) -> None:
        tries.append(1)
        raise failure

    def finish(enough: asyncio.Event) -> Chore:
        async def look(_: WorkerContext) -> None:
            if len(tries) >= 3:
                enough.set()

        return Chore("finish", 0.01, look)

    do_for(monkeypatch, lambda _: Chore("fail", 0.01, fail), finish)
    assert len(tries) >= 3


def test_a_chore_that_hangs_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(_: WorkerContext) -> None:
        await asyncio.sleep(3600)

    def finish(enough: asyncio.Event) -> Chore:
        async def end(_: WorkerContext) -> None:
            enough.set()

        return Chore("finish", 0.01, end)

    do_for(monkeypatch, lambda _: Chore("hang", 0.01, hang), finish)


def test_every_chore_has_its_own_name_and_time() -> None:
    assert len({chore.name for chore in chores.CHORES}) == len(chores.CHORES)
    assert all(chore.seconds >= 1 for chore in chores.CHORES)
