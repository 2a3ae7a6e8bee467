"""How Gunicorn serves ims-web: one process with threads, since a page waits for PostgreSQL and little else."""

import os

from ims.settings import load_settings

_settings = load_settings()

bind = f"{_settings.web_host}:{_settings.web_port}"
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
threads = 16
timeout = 60
graceful_timeout = 10
keepalive = 30
proc_name = "ims-web"
# The requests are logged by the application, with their ids.
accesslog = None
loglevel = "warning"
# A heartbeat file on a disk can block; memory does not.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: PTH112, S108
