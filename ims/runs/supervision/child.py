"""``python -m ims.runs.supervision.child <directory>``: the child process of one run.

It is the parent of ansible-playbook and, as a subreaper, of every process that a task leaves behind. It stops all of
them at the deadline, on SIGTERM, and when the worker that started it ends (the kernel sends SIGTERM then). Its standard
output is a pipe to the worker: one JSON object per line, events first, ``{"end": ...}`` last.
"""

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Final

from ims.runs.events import condense
from ims.runs.processes import (
    SPEC,
    become_subreaper,
    change_mark,
    children,
    descendants,
    die_with_parent,
    kill_all,
    reap,
)
from ims.runs.supervision.sockets import remove_short_directory

GRACE: Final = 1.0
"""Seconds between SIGTERM for ansible-playbook, which starts no more tasks then, and SIGKILL for all processes."""
_PATIENCE: Final = 5.0
"""Seconds to go on killing; only processes of another user survive SIGKILL."""
_LAST_TICK: Final = 4
_EXPECTED: Final = frozenset({"ssh"})
"""Programs that may outlive a playbook without a report: ssh keeps a connection open for the next task."""


class Stopper:
    """Stops the run from within signal handlers: first with SIGTERM, a second later with SIGKILL."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._ticks = 0

    def arm(self, timeout: float) -> None:
        """Stop when ``timeout`` seconds have passed or SIGTERM or SIGINT arrives."""
        signal.signal(signal.SIGTERM, self._cancelled)
        signal.signal(signal.SIGINT, self._cancelled)
        signal.signal(signal.SIGALRM, self._tick)
        signal.setitimer(signal.ITIMER_REAL, timeout)

    def disarm(self) -> None:
        """Ignore the deadline and signals from now on."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def forget(self) -> None:
        """Restore the default signal handlers: for a fork, which inherits the handlers but not the timer."""
        for number in (signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def _cancelled(self, _number: int, _frame: FrameType | None) -> None:
        self._stop("cancel")

    def _tick(self, _number: int, _frame: FrameType | None) -> None:
        if self.reason is None:
            self._stop("deadline")
            return
        self._ticks += 1
        kill_all(descendants(os.getpid()))
        if self._ticks >= _LAST_TICK:
            # Still running although all descendants were killed: the pipe is full and the worker does not read it.
            os._exit(os.EX_TEMPFAIL)

    def _stop(self, reason: str) -> None:
        if self.reason is not None:
            return
        self.reason = reason
        for process in children(os.getpid()):
            with contextlib.suppress(PermissionError):
                process.send(signal.SIGTERM)
        signal.setitimer(signal.ITIMER_REAL, GRACE, GRACE)


class Wire:
    """The pipe to the worker."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def send(self, message: Mapping[str, Any]) -> None:
        """Write one line. If the worker has ended nothing is written: its end stops this process anyway."""
        line = json.dumps(message, separators=(",", ":"), default=str).encode() + b"\n"
        view = memoryview(line)
        with contextlib.suppress(BrokenPipeError):
            while view:
                view = view[os.write(self._descriptor, view) :]

    def close(self) -> None:
        os.close(self._descriptor)


def main() -> int:
    """Execute the run described in the directory, at once or when the worker says so; return 0 if its end was sent."""
    directory = Path(sys.argv[1])
    spec = _read_spec(directory)
    stopper = Stopper()
    if _is_whole(spec):
        stopper.arm(spec["timeout"])
    die_with_parent(signal.SIGTERM, parent=spec["parent"])
    become_subreaper()
    wire = Wire(_take_stdout())
    if not _is_whole(spec):
        _wait_for_run(spec, directory, stopper, wire)
        spec = _read_spec(directory)
        stopper.arm(spec["timeout"])
        change_mark(spec["run_id"])
        wire.send({"begun": True})
    left: list[str] = []
    spared: list[str] = []
    try:
        rc = _play(spec, directory, stopper, wire)
    finally:
        stopper.disarm()
        left, spared = kill_descendants()
    wire.send({"end": {"rc": rc, "stop": stopper.reason, "left": left, "spared": spared}})
    if os.getppid() != spec["parent"]:
        # The worker has ended and cannot remove the directory, which may contain secrets.
        remove_short_directory(directory)
        shutil.rmtree(directory, ignore_errors=True)
    return 0


def _read_spec(directory: Path) -> dict[str, Any]:
    spec: dict[str, Any] = json.loads((directory / SPEC).read_text("utf-8"))
    return spec


def _is_whole(spec: Mapping[str, Any]) -> bool:
    """Whether the spec describes a run, and not only the run context of a warm runner."""
    return "playbook" in spec


def kill_descendants() -> tuple[list[str], list[str]]:
    """Kill everything below this process.

    Return the names of the programs that were still there, and of those that belong to another user and survived.
    """
    left: dict[int, str] = {}
    spared: list[str] = []
    deadline = time.monotonic() + _PATIENCE
    while victims := descendants(os.getpid()):
        left.update({victim.pid: victim.command for victim in victims})
        spared = [victim.command for victim in kill_all(victims)]
        if len(spared) == len(victims) or time.monotonic() > deadline:
            break
        reap()
        time.sleep(0.005)
    reap()
    return sorted(name for name in left.values() if name not in _EXPECTED), sorted(spared)


def _warm_up(spec: Mapping[str, Any], directory: Path, stopper: Stopper, wire: Wire) -> None:
    """Import everything that the playbook needs."""

    def leave() -> None:
        """Release what belongs to this process only, in the fork that becomes ansible-playbook."""
        stopper.forget()
        wire.close()

    # Imported here, because the import takes a while and this process must be bound to its parent before.
    from ims.runs.supervision.runner import warm_up

    warm_up(spec["policy_root"], directory, leave)


def _wait_for_run(spec: Mapping[str, Any], directory: Path, stopper: Stopper, wire: Wire) -> None:
    """Prepare before there is a run; return when the worker assigns one, end this process when the worker closes stdin.

    Until then there is nothing to clean up, and any signal ends the process.
    """
    _warm_up(spec, directory, stopper, wire)
    from ims.runs.supervision.runner import warm_up_thoroughly

    warm_up_thoroughly()
    wire.send({"ready": True})
    if not sys.stdin.readline():
        sys.exit()


def _play(spec: Mapping[str, Any], directory: Path, stopper: Stopper, wire: Wire) -> int | None:
    """Return the exit code of ansible-playbook, None if it was not started or was ended by a signal."""
    from ims.runs.supervision.runner import is_warm, prepare

    if not is_warm():
        _warm_up(spec, directory, stopper, wire)
    runner = prepare(spec, directory, lambda event: wire.send(condense(event)))
    if stopper.reason is None:
        runner.run()
    rc: int | None = runner.rc
    return rc


def _take_stdout() -> int:
    """Return a descriptor that no other process inherits, and point standard output to standard error instead."""
    descriptor = os.dup(1)
    os.dup2(2, 1)
    return descriptor


if __name__ == "__main__":
    sys.exit(main())
