"""Children of runs that were started ahead: they have imported what a playbook needs, and wait for their run.

A warm runner is a child like any other, with a directory and an environment of its own, started for a policy before there is
a run of it. A run that finds a ready one takes it over; one that does not starts a child itself and is only slower.
Nothing else depends on warm runners: one that died, or does not answer, is forgotten.
"""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from ims.core.log import logger
from ims.runs.environment import build_environment
from ims.runs.metrics import WARM_RUNNERS
from ims.runs.processes import read_process, warm_mark
from ims.runs.request import RunContext
from ims.runs.supervision.directories import ERRORS, make_directory, remove_directory

READY: Final = b'{"ready":true}\n'
BEGUN: Final = b'{"begun":true}\n'
_LINE_LIMIT: Final = 1 << 20  # bytes; condensed events are far smaller
_ANSWER_SECONDS: Final = 1.0
"""Within which a warm runner that is told to begin must answer: it only reads a file."""
_REST_SECONDS: Final = 15.0
"""After a warm runner died by itself: one that dies at once must not be started without end."""

_QUIET_SECONDS: Final = 5.0
"""How long a run has the processors for itself before a warm runner is started beside it."""

log = logger(__name__)


async def start_child(
    directory: Path, environment: Mapping[str, str], *, waits: bool = False
) -> asyncio.subprocess.Process:
    """Start the child that works in ``directory``, which is made. One that waits is told by its standard input."""
    with (directory / ERRORS).open("wb") as errors:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-m",
            "ims.runs.supervision.child",
            str(directory),
            stdin=asyncio.subprocess.PIPE if waits else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env=environment,
            limit=_LINE_LIMIT,
            start_new_session=True,
        )


@dataclass(slots=True)
class WarmRunner:
    """One child that has no run yet."""

    run_context: RunContext
    directory: Path
    process: asyncio.subprocess.Process
    first_line: "asyncio.Task[bytes]"

    @classmethod
    async def start(cls, run_context: RunContext, runs: Path) -> "WarmRunner":
        """Start one, with a directory in ``runs``, and do not wait until it is ready."""
        mark = warm_mark(uuid4())
        directory = runs / mark
        make_directory(directory, run_context.spec())
        try:
            process = await start_child(directory, build_environment(run_context, directory, mark), waits=True)
        except BaseException:
            remove_directory(directory)
            raise
        assert process.stdout is not None  # noqa: S101 - asked for in start_child
        return cls(run_context, directory, process, asyncio.create_task(process.stdout.readline()))

    @property
    def is_ready(self) -> bool:
        """Whether it has imported everything and waits."""
        return self.is_healthy and self.first_line.done()

    @property
    def is_healthy(self) -> bool:
        """Whether it is there and is, or may still become, ready."""
        if self.process.returncode is not None:
            return False
        line = self.first_line
        return not line.done() or (not line.cancelled() and line.exception() is None and line.result() == READY)

    async def begin(self) -> bool:
        """Have it begin the run that its directory describes; return whether it does. If not, it is gone."""
        there, back = self.process.stdin, self.process.stdout
        assert there is not None  # noqa: S101 - asked for in start_child
        assert back is not None  # noqa: S101
        with contextlib.suppress(TimeoutError, OSError, ValueError):
            async with asyncio.timeout(_ANSWER_SECONDS):
                there.write(b"\n")
                await there.drain()
                there.close()
                if await back.readline() == BEGUN:
                    return True
        log.warning("warm_runner_lost", pid=self.process.pid)
        await self.kill()
        return False

    async def kill(self) -> None:
        """End it at once. It has started nothing yet that could be left behind."""
        # Not by asyncio, whose way to signal takes the exit status of one that is dead already from its own watcher.
        if (process := read_process(self.process.pid)) is not None and self.process.returncode is None:
            process.send(signal.SIGKILL)
        self.first_line.cancel()
        await asyncio.gather(self.first_line, return_exceptions=True)
        await self.process.wait()

    async def discard(self) -> None:
        """End it and remove its directory."""
        await self.kill()
        remove_directory(self.directory)


class WarmRunners:
    """The warm runners of one worker. ``runs`` is the directory of runs, ``count`` how many to keep ready."""

    def __init__(self, runs: Path, count: int) -> None:
        self._runs = runs
        self._count = count
        self._warm_runners: list[WarmRunner] = []
        self._executing = 0
        self._last_begun = self._last_failed = float("-inf")

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """While a run is executed: the start of another warm runner would only slow it down, and waits for a while."""
        self._executing += 1
        self._last_begun = time.monotonic()
        try:
            yield
        finally:
            self._executing -= 1

    @property
    def are_ready(self) -> bool:
        """Whether there are as many as there should be, and all of them wait for a run."""
        return len(self._warm_runners) == self._count and all(
            warm_runner.is_ready for warm_runner in self._warm_runners
        )

    def take(self, run_context: RunContext) -> WarmRunner | None:
        """A ready one for these run_context, which is the caller's from now on; None if there is none."""
        for warm_runner in self._warm_runners:
            if warm_runner.is_ready and warm_runner.run_context == run_context:
                self._warm_runners.remove(warm_runner)
                self._count_ready()
                return warm_runner
        return None

    async def keep(self, run_context: RunContext) -> None:
        """Let those go that died or are for other run_context, and start one if any is missing and it is time for it."""
        for warm_runner in [
            warm_runner
            for warm_runner in self._warm_runners
            if not warm_runner.is_healthy or warm_runner.run_context != run_context
        ]:
            self._warm_runners.remove(warm_runner)
            if not warm_runner.is_healthy:
                log.warning(
                    "warm_runner_failed", pid=warm_runner.process.pid, returncode=warm_runner.process.returncode
                )
                self._last_failed = time.monotonic()
            await warm_runner.discard()
        if len(self._warm_runners) < self._count and self._is_time():
            self._runs.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._warm_runners.append(await WarmRunner.start(run_context, self._runs))
        self._count_ready()

    async def close(self) -> None:
        """End them all."""
        warm_runners, self._warm_runners = self._warm_runners, []
        for warm_runner in warm_runners:
            await warm_runner.discard()

    def _count_ready(self) -> None:
        WARM_RUNNERS.set(sum(warm_runner.is_ready for warm_runner in self._warm_runners))

    def _is_time(self) -> bool:
        now = time.monotonic()
        is_quiet = not self._executing or now > self._last_begun + _QUIET_SECONDS
        return is_quiet and now > self._last_failed + _REST_SECONDS
