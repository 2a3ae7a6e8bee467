"""Gunicorn's configuration for ims-web: `gunicorn -c python:ims.programs.web_gunicorn 'ims.programs.web:create_app()'`.

One process: a loop that holds the connections, and threads for requests that have arrived whole. A page waits for
PostgreSQL and little else.
"""

import gc
from pathlib import Path
from typing import Any

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
from ims.http.front.limits import MOST_FORM_BYTES, Limits
from ims.http.front.worker import serving

PROGRAM = "ims-web"
_settings = load_settings()

bind = with_port(_settings.web_host, _settings.web_port)
worker_class = serving(Limits.of(_settings, most_body=MOST_FORM_BYTES, keep_alive_seconds=30))
# The rate limits of sources are counted per process: a second process would double them.
workers = 1
threads = 16
timeout = 60
graceful_timeout = 10
proc_name = PROGRAM
# Requests are logged by the application, with their ids.
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


def post_worker_init(_worker: Any) -> None:
    """Called in each serving process once the application is built: exclude the objects that exist now from garbage
    collection. Repeated full collections of them stopped all requests for a tenth of a second."""
    gc.freeze()


def child_exit(_server: Any, worker: Any) -> None:
    """Called when a serving process has ended."""
    forget_process(worker.pid)
