"""Error responses: RFC 9457 problem JSON, with a status code that tells the sender whether to retry.

Alertmanager retries after a 5xx and never after a 4xx: errors on our side are 5xx, only invalid requests get a 4xx.
"""

import json
import re
from typing import Any

from flask import Flask, Response
from werkzeug.exceptions import HTTPException, NotFound, RequestEntityTooLarge

from ims.core.errors import IMSError, TooLarge, Unauthenticated
from ims.core.log import logger
from ims.sources.admission import TooFast
from ims.sources.definition import PATHS
from webhook.metrics import REQUESTS_REFUSED

log = logger(__name__)

RETRY_AFTER_SECONDS = 3
_WORD_BOUNDARY = re.compile(r"(?<!^)(?=[A-Z])")


def install(app: Flask, max_body_bytes: int) -> None:
    """Handle every error of `app`, expected or not. The response to a larger body states `max_body_bytes`."""

    def too_large(_: RequestEntityTooLarge) -> Response:
        response = _of_ours(
            TooLarge(
                f"A body may have at most {max_body_bytes} bytes: send fewer alerts at once, or raise "
                "IMS_MAX_BODY_BYTES."
            )
        )
        # The rest of the body stays unread, so the connection cannot be reused.
        response.headers["Connection"] = "close"
        return response

    def unknown_path(_: NotFound) -> Response:
        paths = ", ".join(f"{kind} sends to {path}" for kind, path in PATHS.items())
        return _problem(404, "not-found", "Not Found", f"Unknown path. A source of kind {paths}.", {})

    app.register_error_handler(IMSError, _of_ours)
    app.register_error_handler(RequestEntityTooLarge, too_large)
    app.register_error_handler(NotFound, unknown_path)
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(Exception, _unforeseen)


def of_error(error: IMSError) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body of the answer to an error of ours."""
    more: dict[str, Any] = {}
    if error.fields:
        more["errors"] = [{"field": wrong.field, "message": wrong.message} for wrong in error.fields]
    kind = _WORD_BOUNDARY.sub("-", type(error).__name__).lower()
    status, headers, body = _document(error.status, kind, error.title, error.message, more)
    if isinstance(error, TooFast):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="ims"'
    return status, list(headers.items()), body


def as_json(content: Any) -> bytes:
    """What an answer's body says."""
    return json.dumps(content).encode()


def _of_ours(error: IMSError) -> Response:
    status, headers, body = of_error(error)
    return Response(body, status, headers)


def _of_http(error: HTTPException) -> Response:
    status, name = error.code or 500, error.name
    response = _problem(status, name.lower().replace(" ", "-"), name, error.description or name, {})
    for header, value in error.get_headers():
        if header.lower() not in ("content-type", "content-length"):
            response.headers[header] = value
    return response


def _unforeseen(error: Exception) -> Response:
    log.error("request_failed", program="webhook", exc_info=error)
    return _problem(
        500, "internal", "Something went wrong in IMS.", "The error was logged. Send the request again.", {}
    )


def _problem(status: int, kind: str, title: str, detail: str, more: dict[str, Any]) -> Response:
    status, headers, body = _document(status, kind, title, detail, more)
    return Response(body, status, headers)


def _document(
    status: int, kind: str, title: str, detail: str, more: dict[str, Any]
) -> tuple[int, dict[str, str], bytes]:
    REQUESTS_REFUSED.labels(str(status)).inc()
    body = {"type": f"urn:ims:problem:{kind}", "title": title, "status": status, "detail": detail, **more}
    headers = {"Content-Type": "application/problem+json"}
    if status >= 500:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return status, headers, as_json(body)
