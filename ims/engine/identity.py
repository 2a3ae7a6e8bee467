"""The identity of a worker, by which other workers on its machine can see whether it is still alive."""

import os
import secrets
from pathlib import Path

from ims.runs.processes import is_alive, this_process

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PROCESS_NAMESPACE = "/proc/self/ns/pid"


def place() -> str:
    """The scope in which a process id is unique: one boot of one kernel, and one process namespace.

    A host name would not do: containers and cloned machines may share one, and a live worker on another machine would
    be mistaken for a dead worker on this one.
    """
    boot = _BOOT_ID.read_text(encoding="ascii").strip().replace("-", "")
    return f"{boot[:16]}.{os.stat(_PROCESS_NAMESPACE).st_ino}"  # noqa: PTH116 - the link's target is not a path


def new_worker_id() -> str:
    """A worker id for this process, unique for each start."""
    return f"{place()}/{this_process().mark()}/{secrets.token_hex(4)}"


def is_dead(worker_id: str) -> bool:
    """Whether a worker has certainly ended; false for workers of other places, whose processes are not visible here."""
    its_place, _, rest = worker_id.partition("/")
    return its_place == place() and not is_alive(rest.partition("/")[0])
