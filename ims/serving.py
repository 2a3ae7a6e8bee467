"""What Gunicorn needs to serve one of our web programs with several processes.

Nothing here imports prometheus-client: it chooses its multiprocess mode when it is imported, by a variable that
Gunicorn sets only after it has read its configuration.
"""

import shutil
from pathlib import Path

from ims.settings import Settings

METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def metrics_directory(settings: Settings, program: str) -> Path:
    """Where the processes of a program keep their figures."""
    return settings.state_dir / "metrics" / program


def start_metrics(settings: Settings, program: str) -> None:
    """Begin with an empty directory: figures of processes long dead would be counted for ever."""
    directory = metrics_directory(settings, program)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True, exist_ok=True)


def forget_process(pid: int) -> None:
    """A server process has ended, by itself or by kill -9: its gauges go, what it counted stays."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(pid)  # type: ignore[no-untyped-call]
