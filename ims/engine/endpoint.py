"""The worker's HTTP endpoint for Prometheus and health checks; no other program uses it."""

import json
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Final, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

ALIVE_SECONDS: Final = 15.0
"""Liveness: seconds within which the event loop, which renews leases, must have made progress."""
READY_SECONDS: Final = 15.0
"""Readiness: seconds within which a heartbeat must have been written to the database."""


@dataclass(slots=True)
class Pulse:
    """The last signs that the worker is healthy, in seconds of `time.monotonic`."""

    loop_progress: float = field(default_factory=time.monotonic)
    heartbeat: float = float("-inf")
    is_stopping: bool = False

    def heartbeat_written(self) -> None:
        """Note that a heartbeat was written to the database."""
        self.heartbeat = time.monotonic()

    def is_alive(self) -> bool:
        """Whether the event loop makes progress."""
        return time.monotonic() - self.loop_progress < ALIVE_SECONDS

    def is_ready(self) -> bool:
        """Whether the worker takes jobs: it is alive, the database answers, and it is not stopping."""
        return self.is_alive() and not self.is_stopping and time.monotonic() - self.heartbeat < READY_SECONDS


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name is the base class's
        """Do not log: a line for each scrape has no value."""


class Endpoint:
    """Serves `/metrics`, `/health` and `/health/ready` in a thread of its own."""

    def __init__(self, host: str, port: int, pulse: Pulse) -> None:
        """Raises OSError when the address cannot be used."""
        self._pulse = pulse
        self._metrics = make_wsgi_app()
        server = _Server6 if ":" in host else _Server
        self._server = make_server(host, port, self._answer, server_class=server, handler_class=_QuietHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="endpoint", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=2)

    def _answer(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return cast(Iterable[bytes], self._metrics(environ, start_response))
        checks = {"/health": self._pulse.is_alive, "/health/ready": self._pulse.is_ready}
        if path not in checks:
            return _reply(start_response, "404 Not Found", {"status": "not found"})
        if checks[path]():
            return _reply(start_response, "200 OK", {"status": "ok"})
        return _reply(start_response, "503 Service Unavailable", {"status": "not ready"})


def _reply(start_response: "StartResponse", status: str, content: dict[str, str]) -> Iterable[bytes]:
    body = json.dumps(content).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
