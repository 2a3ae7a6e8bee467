"""Who a worker is, so that others on its machine can tell whether it still lives."""

import os
import secrets
from pathlib import Path

from ims.runs.processes import is_alive, this_process

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PROCESS_NAMESPACE = "/proc/self/ns/pid"


def place() -> str:
    """Where process numbers mean what they mean here: one boot of one kernel, one process namespace.

    A host name would not do: containers and cloned machines share them, and a living worker elsewhere would be taken
    for a dead one of here.
    """
    boot = _BOOT_ID.read_text(encoding="ascii").strip().replace("-", "")
    return f"{boot[:16]}.{os.stat(_PROCESS_NAMESPACE).st_ino}"  # noqa: PTH116 - the link's target is no path


def new_worker_id() -> str:
    """The identity of this process as a worker, unique for each start."""
    return f"{place()}/{this_process().mark()}/{secrets.token_hex(4)}"


def is_dead(worker_id: str) -> bool:
    """Whether a worker is known to have ended; false for workers of other places, which cannot be seen from here."""
    its_place, _, rest = worker_id.partition("/")
    return its_place == place() and not is_alive(rest.partition("/")[0])
