"""What gunicorn does around ims-web and the webhook. Written by the role ims; changes here are lost."""

import ctypes
import os
import pathlib
import signal

from prometheus_client import multiprocess

worker_class = "gthread"
# Heartbeats in memory: on a busy disk a worker that waits to touch its file looks dead.
worker_tmp_dir = "/dev/shm" if pathlib.Path("/dev/shm").is_dir() else None  # noqa: S108 - it is gunicorn's to secure
graceful_timeout = 10
keepalive = 5
# A socket in the home directory of the user, which nobody here uses.
control_socket_disable = True

PR_SET_PDEATHSIG = 1


def on_starting(server):
    """Forget the metrics of the processes before: a dead process's gauges would be counted for ever."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder:
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        for file in pathlib.Path(folder).glob("*.db"):
            file.unlink()


def post_fork(server, worker):
    """Die with the master: a worker that survives its kill keeps the port and hides that the program is down."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server.pid:
        os.kill(os.getpid(), signal.SIGKILL)


def child_exit(server, worker):
    """Take a dead worker's gauges out of the sum."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.mark_process_dead(worker.pid)
