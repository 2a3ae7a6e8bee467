"""Gunicorn's configuration for the webhook: `gunicorn -c python:ims.programs.webhook_gunicorn
'webhook.app:create_app()'`.

Processes for half of the cores, each a loop that holds its connections. A thread is taken only for what is large.
"""

import gc
import os
from pathlib import Path
from typing import Any

from ims.core.log import configure_logging
from ims.core.net import with_port
from ims.core.serving import (
    METRICS_VARIABLE,
    die_with_master,
    forget_process,
    metrics_directory,
    share_arenas,
    start_metrics,
)
from ims.core.settings import load_settings
from ims.http.front.limits import Limits
from ims.http.front.worker import serving

PROGRAM = "webhook"
_settings = load_settings()

bind = with_port(_settings.webhook_host, _settings.webhook_port)
# Longer than the pauses between an Alertmanager's notifications: it keeps its connection.
worker_class = serving(Limits.of(_settings, most_body=_settings.max_body_bytes, keep_alive_seconds=75))
# PostgreSQL needs the other half. Processes that commit at once wait for one another's incidents, and one that holds
# all senders commits them together: a new alert takes a quarter less processor time than with two on two cores.
workers = min(4, max(1, (os.cpu_count() or 2) // 2))
threads = 16
timeout = 60
graceful_timeout = 10
proc_name = PROGRAM
# Gunicorn would create the socket in the user's home directory; the platform controls this program instead.
control_socket_disable = True
# Responses are counted, not logged: during an alert storm every alert would be written twice.
accesslog = None
loglevel = "warning"
# A heartbeat file on a disk can block; memory does not.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - made by mkstemp
raw_env = [f"{METRICS_VARIABLE}={metrics_directory(_settings, PROGRAM)}"]


def on_starting(_server: Any) -> None:
    """Called before any process serves."""
    start_metrics(_settings, PROGRAM)


def post_fork(server: Any, _worker: Any) -> None:
    """Called in each serving process, before the application is built."""
    die_with_master(server.pid)
    share_arenas()
    configure_logging(_settings, PROGRAM)


def post_worker_init(_worker: Any) -> None:
    """Called in each serving process once the application is built: exclude the objects that exist now from garbage
    collection."""
    gc.freeze()


def child_exit(_server: Any, worker: Any) -> None:
    """Called when a serving process has ended."""
    forget_process(worker.pid)
