"""Warm runners: children that were started before their run, have imported what a playbook needs, and wait.

A warm runner is an ordinary child with its own directory and environment, started for a policy before there is a run. A
run takes over a ready warm runner; without one the run starts a child itself and is only slower. Nothing else depends
on warm runners: one that has died or does not answer is discarded.
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
"""Timeout for the answer of a warm runner to the start signal: it only reads a file."""
_REST_SECONDS: Final = 15.0
"""Pause after a warm runner died by itself, so that runners that die at once are not started in a loop."""

_QUIET_SECONDS: Final = 5.0
"""Seconds after the start of a run in which no warm runner is started beside it."""

log = logger(__name__)


async def start_child(
    directory: Path, environment: Mapping[str, str], *, waits: bool = False
) -> asyncio.subprocess.Process:
    """Start the child in an existing ``directory``. With ``waits`` it waits for a line on its standard input."""
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
        """Start a warm runner with a directory in ``runs``, without waiting until it is ready."""
        mark = warm_mark(uuid4())
        directory = runs / mark
        make_directory(directory, run_context.spec())
        try:
            process = await start_child(directory, build_environment(run_context, directory, mark), waits=True)
        except BaseException:
            remove_directory(directory)
            raise
        assert process.stdout is not None  # noqa: S101 - start_child requests it
        return cls(run_context, directory, process, asyncio.create_task(process.stdout.readline()))

    @property
    def is_ready(self) -> bool:
        """Whether it has imported everything and waits for a run."""
        return self.is_healthy and self.first_line.done()

    @property
    def is_healthy(self) -> bool:
        """Whether it is running and is ready or may become ready."""
        if self.process.returncode is not None:
            return False
        line = self.first_line
        return not line.done() or (not line.cancelled() and line.exception() is None and line.result() == READY)

    async def begin(self) -> bool:
        """Start the run that the directory describes; return whether it started. If not, the process is killed."""
        there, back = self.process.stdin, self.process.stdout
        assert there is not None  # noqa: S101 - start_child requests it
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
        """Kill it. It has not started any process yet that could be left behind."""
        # Not with asyncio: its signalling takes the exit status of a dead process away from asyncio's own watcher.
        if (process := read_process(self.process.pid)) is not None and self.process.returncode is None:
            process.send(signal.SIGKILL)
        self.first_line.cancel()
        await asyncio.gather(self.first_line, return_exceptions=True)
        await self.process.wait()

    async def discard(self) -> None:
        """Kill it and remove its directory."""
        await self.kill()
        remove_directory(self.directory)


class WarmRunners:
    """The warm runners of one worker. ``runs`` is the directory of runs, ``count`` the number to keep ready."""

    def __init__(self, runs: Path, count: int) -> None:
        self._runs = runs
        self._count = count
        self._warm_runners: list[WarmRunner] = []
        self._executing = 0
        self._last_begun = self._last_failed = float("-inf")

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Mark the execution of a run: starting a warm runner in its first seconds would slow it down."""
        self._executing += 1
        self._last_begun = time.monotonic()
        try:
            yield
        finally:
            self._executing -= 1

    @property
    def are_ready(self) -> bool:
        """Whether all wanted warm runners exist and are ready."""
        return len(self._warm_runners) == self._count and all(
            warm_runner.is_ready for warm_runner in self._warm_runners
        )

    def take(self, run_context: RunContext) -> WarmRunner | None:
        """A ready warm runner for this run context, which the caller owns from now on; None if there is none."""
        for warm_runner in self._warm_runners:
            if warm_runner.is_ready and warm_runner.run_context == run_context:
                self._warm_runners.remove(warm_runner)
                self._count_ready()
                return warm_runner
        return None

    async def keep(self, run_context: RunContext) -> None:
        """Discard warm runners that died or have another run context; start one if one is missing and it is time."""
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
        """Discard all warm runners."""
        warm_runners, self._warm_runners = self._warm_runners, []
        for warm_runner in warm_runners:
            await warm_runner.discard()

    def _count_ready(self) -> None:
        WARM_RUNNERS.set(sum(warm_runner.is_ready for warm_runner in self._warm_runners))

    def _is_time(self) -> bool:
        now = time.monotonic()
        is_quiet = not self._executing or now > self._last_begun + _QUIET_SECONDS
        return is_quiet and now > self._last_failed + _REST_SECONDS
