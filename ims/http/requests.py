"""Each request has an id, which is in every log entry it causes, in its answer, and on a page that reports a fault."""

import re
import time
from uuid import uuid4

import structlog
from flask import Flask, Response, g, request

from ims.core.log import logger

log = logger(__name__)

HEADER = "X-Request-ID"
LIVE_HEADER = "X-IMS-Live"
"""Sent by our scripts that ask each second whether a page has changed."""
_ACCEPTABLE = re.compile(r"[A-Za-z0-9_-]{8,64}")
_QUIET = frozenset({"health.alive", "health.ready", "health.metrics", "static"})


def request_id() -> str:
    """The id of this request."""
    return str(g.get("request_id", ""))


def install(app: Flask, program: str) -> None:
    """Bind the id before anything else is done, and log each answer once."""

    def begin() -> None:
        given = request.headers.get(HEADER, "")
        g.request_id = given if _ACCEPTABLE.fullmatch(given) else uuid4().hex
        g.began = time.monotonic()
        structlog.contextvars.clear_contextvars()
        # A thread of the server starts with an empty context: the program's name has to be said again.
        structlog.contextvars.bind_contextvars(program=program, request_id=g.request_id)

    def end(response: Response) -> Response:
        response.headers[HEADER] = request_id()
        is_quiet = request.endpoint in _QUIET or LIVE_HEADER in request.headers
        level = log.debug if is_quiet and response.status_code < 400 else log.info
        milliseconds = round((time.monotonic() - g.began) * 1000, 1)
        level("request", method=request.method, path=request.path, status=response.status_code, ms=milliseconds)
        return response

    app.before_request(begin)
    app.after_request(end)
