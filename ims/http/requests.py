"""Request ids: each request has one, in every log entry it causes, in its response, and on error pages."""

import re
import time
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import uuid4

import structlog
from flask import Flask, Response, current_app, g, request

from ims.core.errors import FieldError, Invalid
from ims.core.log import logger

log = logger(__name__)

View = TypeVar("View", bound=Callable[..., Any])

HEADER = "X-Request-ID"
LIVE_HEADER = "X-IMS-Live"
"""Header that our scripts send when they poll a page for changes."""
_ACCEPTABLE = re.compile(r"[A-Za-z0-9_-]{8,64}")
_QUIET = frozenset({"health.alive", "health.ready", "health.metrics", "static"})


def with_secret_path(view: View) -> View:
    """Mark a view whose path contains a secret: the log gets the pattern of the path in its place."""
    view.has_secret_path = True  # type: ignore[attr-defined]
    return view


def _path_to_log() -> str:
    view = current_app.view_functions.get(request.endpoint or "")
    rule = request.url_rule
    return rule.rule if rule is not None and getattr(view, "has_secret_path", False) else request.path


def request_id() -> str:
    return str(g.get("request_id", ""))


def install(app: Flask, program: str) -> None:
    """Bind the id before anything else is done, and log each response once."""

    def begin() -> None:
        given = request.headers.get(HEADER, "")
        g.request_id = given if _ACCEPTABLE.fullmatch(given) else uuid4().hex
        g.began = time.monotonic()
        structlog.contextvars.clear_contextvars()
        # A thread of the server starts with an empty context, so the program's name is bound again.
        structlog.contextvars.bind_contextvars(program=program, request_id=g.request_id)
        # PostgreSQL cannot store them, so they never match, and a driver's error would be ours.
        if wrong := [name for name, values in request.args.lists() if "\0" in name or "\0" in "".join(values)]:
            raise Invalid(fields=[FieldError(name.replace("\0", ""), "must not contain NUL") for name in wrong])

    def end(response: Response) -> Response:
        response.headers[HEADER] = request_id()
        is_quiet = request.endpoint in _QUIET or LIVE_HEADER in request.headers
        level = log.debug if is_quiet and response.status_code < 400 else log.info
        milliseconds = round((time.monotonic() - g.began) * 1000, 1)
        level("request", method=request.method, path=_path_to_log(), status=response.status_code, ms=milliseconds)
        return response

    app.before_request(begin)
    app.after_request(end)
