"""Executes one playbook in a separate process and leaves nothing behind.

Call ``execute`` in the event loop of a worker's main thread: the kernel signals the run's process when the *thread*
that started it ends. However the call ends (the playbook's end, its deadline, a cancel, an error of the caller's
callback, the cancellation of the task): when it returns or raises, no process of the run is left on this machine and
its directory is removed.
"""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

from ims.core.errors import RunDenied
from ims.core.log import logger
from ims.runs.environment import build_environment
from ims.runs.events import FAILED, NOTE, STATS, UNREACHABLE, VERBOSE, RunEvent
from ims.runs.metrics import STARTED
from ims.runs.recap import Ending, FailedTask, Outcome, RunResult, Stop, read_recap
from ims.runs.request import RunRequest
from ims.runs.supervision.child import GRACE
from ims.runs.supervision.directories import ERRORS, adopt_directory, make_run_directory, remove_directory
from ims.runs.supervision.sweep import Sweep, kill_run
from ims.runs.supervision.warm import WarmRunner, WarmRunners, start_child

OnEvents = Callable[[Sequence[RunEvent]], Awaitable[None]]
"""Stores a batch of events, in order. If it raises, the run is stopped and ``execute`` raises the same error."""

BATCH_SECONDS: Final = 0.15
"""How long the first event of a batch waits for more events."""
BATCH_SIZE: Final = 200
MAX_WAITING: Final = 20_000
"""Maximum number of events in memory while the callback is slow; further events are counted and dropped."""

_STOP_WAIT = GRACE + 1.5  # seconds for the run's child to stop everything itself
_BACKSTOP = 5.0  # seconds after the deadline until the caller stops a child that did not stop itself
_MAX_ERRORS = 2_000  # characters

log = logger(__name__)


async def execute(
    request: RunRequest,
    directory: Path,
    *,
    on_events: OnEvents,
    cancel: asyncio.Event | None = None,
    warm_runners: WarmRunners | None = None,
) -> RunResult:
    """Run the playbook and return how it ended.

    ``directory`` becomes the run's own directory: it must not exist, but its parent must. Setting ``cancel`` stops the
    run, before or after its start. A matching child of ``warm_runners`` is used if one is ready. Raises RunDenied if
    the directory exists (the same run was started before) or the caller is not in the main thread, and any error of
    ``on_events``.
    """
    execution = _Execution(request, directory, on_events, cancel or asyncio.Event(), warm_runners)
    with warm_runners.in_use() if warm_runners else contextlib.nullcontext():
        return await execution.run()


class _Execution:
    def __init__(
        self,
        request: RunRequest,
        directory: Path,
        on_events: OnEvents,
        cancel: asyncio.Event,
        warm_runners: WarmRunners | None,
    ) -> None:
        self._request = request
        self._directory = directory
        self._outbox = _Outbox(on_events)
        self._cancel = cancel
        self._warm_runners = warm_runners
        self._warm_runner: WarmRunner | None = None
        self._begun = time.monotonic()
        self._first_task: float | None = None
        self._end: dict[str, Any] = {}
        self._was_started = False
        self._ending = Ending(target=request.limit, timeout=request.timeout)

    async def run(self) -> RunResult:
        if threading.current_thread() is not threading.main_thread():
            raise RunDenied("A run can only be started from the main thread of its worker.")
        await self._make_directory()
        swept: Sweep | None = None
        try:
            if self._cancel.is_set():
                self._ending.stop = Stop.CANCEL
            else:
                await self._supervise()
                self._log_errors()
            swept = await asyncio.to_thread(kill_run, self._request.run_id)
        finally:
            if swept is None:  # an error or the cancellation of this task
                kill_run(self._request.run_id)
            if self._warm_runner is not None:
                await self._warm_runner.kill()
            remove_directory(self._directory)
        return self._result(swept)

    async def _supervise(self) -> None:
        self._was_started = True
        process = await self._start()
        assert process.stdout is not None  # noqa: S101 - asked for in _start
        reading = asyncio.create_task(self._read(process.stdout))
        delivering = asyncio.create_task(self._outbox.deliver())
        cancelling = asyncio.create_task(self._cancel.wait())
        tasks: list[asyncio.Task[Any]] = [reading, delivering, cancelling]
        try:
            await asyncio.wait(tasks, timeout=self._request.timeout + _BACKSTOP, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                self._ending.stop = Stop.CANCEL if cancelling.done() or delivering.done() else Stop.DEADLINE
                await self._stop(process, reading)
            await reading
            await process.wait()
            self._outbox.close()
            await delivering
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                await self._stop(process, reading)
            await _discard(tasks)

    async def _make_directory(self) -> None:
        if self._warm_runners is not None and not self._cancel.is_set():
            self._warm_runner = self._warm_runners.take(self._request.run_context)
        if self._warm_runner is None:
            make_run_directory(self._request, self._directory)
            return
        try:
            adopt_directory(self._request, self._directory, self._warm_runner.directory)
        except BaseException:
            await self._warm_runner.discard()
            raise

    async def _start(self) -> asyncio.subprocess.Process:
        warm_runner, self._warm_runner = self._warm_runner, None
        if warm_runner is not None and await warm_runner.begin():
            STARTED.labels("warm").inc()
            return warm_runner.process
        STARTED.labels("new").inc()
        if warm_runner is not None:
            remove_directory(self._directory)
            make_run_directory(self._request, self._directory)
        mark = str(self._request.run_id)
        return await start_child(self._directory, build_environment(self._request.run_context, self._directory, mark))

    async def _stop(self, process: asyncio.subprocess.Process, reading: "asyncio.Task[None]") -> None:
        """Have the child stop everything; kill the whole run if it does not."""
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        done, _ = await asyncio.wait([reading], timeout=_STOP_WAIT)
        if not done:
            await asyncio.to_thread(kill_run, self._request.run_id)
        await process.wait()

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while (line := await stream.readline()).endswith(b"\n"):  # the last line of a killed child is not whole
            message = json.loads(line)
            if "end" in message:
                self._end = message["end"]
            else:
                self._take(self._outbox.add(message))

    def _log_errors(self) -> None:
        """Log the standard error of the run's child before its directory is removed."""
        errors = (self._directory / ERRORS).read_text(errors="replace").strip()
        if errors:
            log.warning("run_child_stderr", run_id=str(self._request.run_id), stderr=errors[-_MAX_ERRORS:])

    def _take(self, event: RunEvent) -> None:
        """Collect the facts that the result needs."""
        ending = self._ending
        if event.kind == STATS:
            ending.recap = read_recap(event.data["recap"])
        elif event.kind == "playbook_on_task_start" and self._first_task is None:
            self._first_task = time.monotonic() - self._begun
        elif event.kind in (FAILED, UNREACHABLE) and event.host and not event.data.get("ignored"):
            task = event.task or event.data.get("action", "")
            ending.failures[event.host] = FailedTask(task, event.host, event.data.get("message", ""), event.play)
        elif event.kind in (VERBOSE, "error"):
            ending.note_output(event.stdout)
        ending.note_progress(event)
        ending.note_contact(event)

    def _result(self, swept: Sweep) -> RunResult:
        ending = self._ending
        ending.is_silent = self._was_started and not self._end
        ending.finished = bool(self._end) or ending.stop is not None
        ending.rc = self._end.get("rc")
        if self._end.get("stop"):
            ending.stop = ending.stop or Stop(self._end["stop"])
        outcome, reason = ending.decide()
        left = () if ending.stop else (*self._end.get("left", ()), *swept.killed)
        survivors = (*self._end.get("spared", ()), *swept.survivors)
        if left and outcome is not Outcome.DIED:
            reason += f" Programs that it left behind were stopped: {', '.join(left)}."
        if survivors:
            reason += f" Programs of another user could not be stopped: {', '.join(survivors)}."
        return RunResult(
            outcome=outcome,
            reason=reason,
            cut_short=outcome is not Outcome.SUCCEEDED and ending.cut_short is not None,
            rc=ending.rc,
            recap=ending.recap or {},
            failed_task=ending.failed_task() if outcome is not Outcome.SUCCEEDED else None,
            left_behind=left,
            survivors=survivors,
            first_task_seconds=self._first_task,
            seconds=time.monotonic() - self._begun,
        )


class _Outbox:
    """Delivers events to the caller in batches. A slow caller never makes the playbook wait."""

    def __init__(self, on_events: OnEvents) -> None:
        self._on_events = on_events
        self._waiting: list[RunEvent] = []
        self._counter = 0
        self._dropped = 0
        self._closed = False
        self._something = asyncio.Event()
        self._enough = asyncio.Event()

    def add(self, wire: dict[str, Any]) -> RunEvent:
        event = RunEvent.from_wire(self._counter + 1, wire)
        if len(self._waiting) >= MAX_WAITING:
            self._dropped += 1
            return event
        self._counter += 1
        self._waiting.append(event)
        self._something.set()
        if len(self._waiting) >= BATCH_SIZE:
            self._enough.set()
        return event

    def close(self) -> None:
        """Have ``deliver`` return when everything is delivered."""
        self._closed = True
        self._something.set()
        self._enough.set()

    async def deliver(self) -> None:
        while True:
            await self._something.wait()
            if not self._waiting and self._closed:
                return
            if not self._closed:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._enough.wait(), BATCH_SECONDS)
            await self._deliver_batch()

    async def _deliver_batch(self) -> None:
        batch, self._waiting = self._waiting[:BATCH_SIZE], self._waiting[BATCH_SIZE:]
        if not self._waiting and self._dropped:
            self._note(f"[cut: {self._dropped} events were dropped because they could not be stored in time]")
        if not self._closed:
            self._enough.clear()
            if not self._waiting:
                self._something.clear()
        if batch:
            await self._on_events(batch)

    def _note(self, text: str) -> None:
        self._dropped = 0
        self.add({"kind": NOTE, "stdout": text})


async def _discard(tasks: Sequence["asyncio.Task[Any]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
