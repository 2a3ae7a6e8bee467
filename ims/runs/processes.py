"""Linux processes: descendants, the mark of a run in the environment, and death with the parent.

Uses only the standard library, because a run's child imports it before anything else. Everything is read from
``/proc``; a process that ends while it is read counts as absent.
"""

import contextlib
import ctypes
import os
import signal
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

RUN_ID: Final = "IMS_RUN_ID"
RUN_OWNER: Final = "IMS_RUN_OWNER"
"""``<pid>.<start time>`` of the process that started the run."""
INSTANCE: Final = "IMS_INSTANCE"

WARM_PREFIX: Final = "warm-"
"""Prefix of ``IMS_RUN_ID`` in a warm runner, which has no run yet."""

SPEC: Final = "spec.json"
"""In the run's directory: the spec for its child, and the mark of its owner."""
TEMPORARY: Final = "tmp"
"""In the run's directory: the link to its short directory, for temporary files and sockets."""

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_PROC = Path("/proc")
_BOOT_ID = _PROC / "sys/kernel/random/boot_id"
_PROCESS_NAMESPACE = "ns/pid"
_STATE, _PPID, _START_TIME, _ENV_START, _ENV_END = (
    0,
    1,
    19,
    47,
    48,
)  # fields of /proc/<pid>/stat after the command's name


@dataclass(frozen=True, slots=True)
class Process:
    """One line of the process table. ``pid`` and ``started`` (clock ticks since boot) together are its identity."""

    pid: int
    parent: int
    state: str
    started: int
    command: str

    @property
    def is_running(self) -> bool:
        """Whether the process is running; a zombie is not."""
        return self.state not in "ZX"

    def mark(self) -> str:
        """Return the identity as one word, for ``IMS_RUN_OWNER``."""
        return f"{self.pid}.{self.started}"

    def environment(self) -> dict[str, str]:
        """Return the environment it was started with; empty if it has ended or belongs to another user."""
        try:
            text = (_PROC / str(self.pid) / "environ").read_bytes().decode(errors="replace")
        except OSError:
            return {}
        return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)

    def is_in_place(self) -> bool:
        """Return whether its number and those in its environment mean here what they mean to it.

        The processes of a container are visible from outside, under other numbers: "the worker 7 has ended" would be
        decided about another process.
        """
        return _inode(_PROC / str(self.pid) / _PROCESS_NAMESPACE) == _inode(_PROC / "self" / _PROCESS_NAMESPACE)

    def sees_same(self, directory: str) -> bool:
        """Return whether a path means the same directory to that process as to this one.

        Two installations in different roots or mount namespaces may have the same path. If it names nothing for either,
        their roots are compared.
        """
        root = _PROC / str(self.pid) / "root"
        theirs, ours = _identity(root / directory.lstrip("/")), _identity(Path(directory))
        if theirs is None and ours is None:
            theirs, ours = _identity(root), _identity(Path("/"))
        return theirs is not None and theirs == ours

    def send(self, number: signal.Signals) -> bool:
        """Signal this very process, never a later one with the same pid; return whether it was still running.

        Raises PermissionError if it belongs to another user.
        """
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            again = read_process(self.pid)
            if again is None or again.started != self.started:
                return False
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True


def place() -> str:
    """Return the scope in which a process id is unique: one boot of one kernel, and one process namespace.

    A host name would not do: containers and cloned machines may share one, and a live worker on another machine would
    be mistaken for a dead worker on this one.
    """
    boot = _BOOT_ID.read_text(encoding="ascii").strip().replace("-", "")
    return f"{boot[:16]}.{_inode(_PROC / 'self' / _PROCESS_NAMESPACE)}"


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode; None if there is nothing, or if it may not be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def read_process(pid: int) -> Process | None:
    """Return the process with this number, or None."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The command's name stands in parentheses and may itself contain blanks and parentheses.
    before, _, rest = text.rpartition(")")
    fields = rest.split()
    return Process(
        pid=pid,
        parent=int(fields[_PPID]),
        state=fields[_STATE],
        started=int(fields[_START_TIME]),
        command=before.partition("(")[2],
    )


def this_process() -> Process:
    """Return the entry of the calling process."""
    process = read_process(os.getpid())
    if process is None:
        raise OSError("/proc does not show this process")
    return process


def is_alive(mark: str) -> bool:
    """Return whether the process with this ``Process.mark()`` still runs."""
    pid, _, started = mark.partition(".")
    if not (pid.isdecimal() and started.isdecimal()):
        return False
    process = read_process(int(pid))
    return process is not None and process.is_running and process.started == int(started)


def processes() -> Iterator[Process]:
    """Yield every process that can be seen, zombies included."""
    for entry in os.scandir(_PROC):
        if entry.name.isdecimal():
            process = read_process(int(entry.name))
            if process is not None:
                yield process


def children(pid: int) -> list[Process]:
    """Return the direct children of ``pid`` that still run."""
    return [process for process in processes() if process.parent == pid and process.is_running]


def descendants(pid: int) -> list[Process]:
    """Return everything below ``pid`` that still runs, parents before children."""
    by_parent: dict[int, list[Process]] = defaultdict(list)
    for process in processes():
        by_parent[process.parent].append(process)
    found, waiting = [], [pid]
    while waiting:
        below = by_parent.pop(waiting.pop(), [])
        found.extend(below)
        waiting.extend(process.pid for process in below)
    return [process for process in found if process.is_running]


def ancestors(pid: int) -> set[int]:
    """Return the numbers of the processes above ``pid``."""
    found: set[int] = set()
    process = read_process(pid)
    while process is not None and process.parent > 0 and process.parent not in found:
        found.add(process.parent)
        process = read_process(process.parent)
    return found


def kill_all(victims: Iterable[Process]) -> list[Process]:
    """Send SIGKILL to each of them; return those that belong to another user and therefore survive."""
    survivors = []
    for victim in victims:
        try:
            victim.send(signal.SIGKILL)
        except PermissionError:
            survivors.append(victim)
    return survivors


def die_with_parent(number: signal.Signals, parent: int) -> None:
    """Make the kernel send ``number`` to this process when the thread that started it ends.

    ``parent`` is the pid of the process that must still be the parent: if it ended before this call, the kernel would
    never send the signal, so this process ends at once. Forked children do not inherit the setting; a program started
    by exec does.
    """
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def become_subreaper() -> None:
    """Make orphaned descendants children of this process instead of children of init, so that none escapes it."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def warm_mark(number: UUID) -> str:
    """Return a value of ``IMS_RUN_ID`` for a child that has no run yet; it is as long as the id of a run."""
    whole = str(number)
    return WARM_PREFIX + whole[len(WARM_PREFIX) :]


def change_mark(run_id: str) -> None:
    """Replace the mark of a warm runner by that of a run, for this process and the processes that it starts.

    The kernel shows the initial environment of a process from the memory of the process. So the value is overwritten
    there; a change of ``os.environ`` alone would not be visible. Raises OSError if the value cannot be overwritten.
    """
    fields = (_PROC / "self/stat").read_text(errors="replace").rpartition(")")[2].split()
    start, end = int(fields[_ENV_START]), int(fields[_ENV_END])
    old, new = (f"\0{RUN_ID}={mark}\0".encode() for mark in (os.environ[RUN_ID], run_id))
    place = (b"\0" + ctypes.string_at(start, end - start)).find(old) if start else -1
    if place < 0 or len(old) != len(new):
        raise OSError("the mark of this process cannot be changed")
    ctypes.memmove(start + place, new[1:], len(new) - 1)
    os.environ[RUN_ID] = run_id


def rename(name: str) -> None:
    """Give this process another name in the process table, of which the kernel keeps 15 bytes."""
    _prctl(_PR_SET_NAME, ctypes.create_string_buffer(name.encode()))


def reap() -> None:
    """Collect the exit status of every child that has ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0] > 0:
            pass


def _prctl(option: int, value: "int | ctypes.Array[ctypes.c_char]") -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")


_libc = ctypes.CDLL(None, use_errno=True)
