"""What Gunicorn needs to serve a web program with several processes.

This module must not import prometheus-client at the top: the library chooses its multiprocess mode when it is imported,
by a variable that Gunicorn sets only after it has read its configuration.
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
    """The directory in which the processes of a program keep their metrics."""
    return settings.state_dir / "metrics" / program


def start_metrics(settings: Settings, program: str) -> None:
    """Begin with an empty directory: the metrics of dead processes would otherwise be counted for ever."""
    directory = metrics_directory(settings, program)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True, exist_ok=True)


def die_with_master(master_pid: int) -> None:
    """Have the kernel kill this process when its master dies: it would keep the port, and the next master fail."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != master_pid:
        # The master died before prctl took effect.
        os.kill(os.getpid(), signal.SIGKILL)


def share_arenas() -> None:
    """Let threads share two arenas of memory: each of 16 would keep what its largest request needed."""
    with contextlib.suppress(AttributeError):  # only the GNU library has it
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def forget_process(pid: int) -> None:
    """Remove the gauges of a server process that has ended, also by kill -9; its counters stay."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(pid)  # type: ignore[no-untyped-call]
