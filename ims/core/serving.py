"""What Gunicorn needs to serve one of our web programs with several processes.

Nothing here imports prometheus-client: it chooses its multiprocess mode when it is imported, by a variable that
Gunicorn sets only after it has read its configuration.
"""

import contextlib
import ctypes
import os
import shutil
import signal
from pathlib import Path

from ims.core.settings import Settings

METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_PR_SET_PDEATHSIG = 1
_M_ARENA_MAX = -8
"""From malloc.h of the GNU library."""


def metrics_directory(settings: Settings, program: str) -> Path:
    """Where the processes of a program keep their figures."""
    return settings.state_dir / "metrics" / program


def start_metrics(settings: Settings, program: str) -> None:
    """Begin with an empty directory: figures of processes long dead would be counted for ever."""
    directory = metrics_directory(settings, program)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True, exist_ok=True)


def die_with_master(master_pid: int) -> None:
    """Let this serving process be killed when its master is: it would keep the port, and the next master fail on it."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != master_pid:
        # The master died before it could be watched.
        os.kill(os.getpid(), signal.SIGKILL)


def share_arenas() -> None:
    """Let threads share two arenas of memory: each of 16 would keep what its largest request needed."""
    with contextlib.suppress(AttributeError):  # only the GNU library has it
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def forget_process(pid: int) -> None:
    """A server process has ended, by itself or by kill -9: its gauges go, what it counted stays."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(pid)  # type: ignore[no-untyped-call]
