"""Error responses: RFC 9457 problem JSON for programs, a page for people, never a driver's text."""

import json
import re
from collections.abc import Mapping, Sequence

from flask import Flask, Response, redirect, render_template, request, url_for
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, default_exceptions
from werkzeug.wrappers import Response as AnyResponse

from ims.core.errors import DatabaseAway, FieldError, IMSError, Unauthenticated
from ims.core.log import logger
from ims.http.requests import LIVE_HEADER, request_id
from ims.sources.admission import TooFast

log = logger(__name__)

RETRY_SECONDS = 3
_WORD_BOUNDARY = re.compile(r"(?<!^)(?=[A-Z])")


def wants_json() -> bool:
    """Whether the client is a program: it prefers JSON, or it is our script that keeps a page up to date."""
    if LIVE_HEADER in request.headers or request.path.startswith(("/api/", "/health", "/metrics")):
        return True
    accepted = request.accept_mimetypes
    best = accepted.best_match(["text/html", "application/problem+json", "application/json"], default="text/html")
    return best != "text/html" and accepted[best] > accepted["text/html"]


def problem(status: int, title: str, detail: str, kind: str, more: Mapping[str, object]) -> Response:
    """A problem document; `kind` is the last part of its `type`."""
    body = {"type": f"urn:ims:problem:{kind}", "title": title, "status": status, "detail": detail, **more}
    body["request_id"] = request_id()
    return Response(json.dumps(body), status, mimetype="application/problem+json")


def install(app: Flask) -> None:
    """Handle every error of `app`, expected or not."""
    app.register_error_handler(IMSError, _of_ours)
    app.register_error_handler(CSRFError, _form_expired)
    for code in default_exceptions:
        app.register_error_handler(code, _of_http)
    app.register_error_handler(Exception, _unforeseen)


def _of_ours(error: IMSError) -> AnyResponse:
    """An `IMSError`. People who are not signed in are redirected to the sign-in page, and from there to their page."""
    if error.status >= 500:
        log.warning("request_failed", error=type(error).__name__, status=error.status)
    if isinstance(error, Unauthenticated) and not wants_json():
        wanted = request.full_path.rstrip("?") if request.method == "GET" else None
        return redirect(url_for("accounts.sign_in_page", next=None if wanted == "/" else wanted))
    headers = {"Retry-After": str(RETRY_SECONDS)} if isinstance(error, DatabaseAway) else {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooFast):
        headers["Retry-After"] = str(error.retry_after)
    if wants_json():
        kind = _WORD_BOUNDARY.sub("-", type(error).__name__).lower()
        fields = [{"field": wrong.field, "message": wrong.message} for wrong in error.fields]
        more = {**error.members, **({"errors": fields} if fields else {})}
        response: AnyResponse = problem(error.status, error.title, error.message, kind, more)
    else:
        is_away = isinstance(error, DatabaseAway)
        response = _page(error.status, error.title, error.message, refresh=is_away, fields=error.fields)
    response.headers.update(headers)
    return response


def _of_http(error: HTTPException) -> AnyResponse:
    """An error of HTTP itself: an unknown path, a wrong method, a body that is too large."""
    status = error.code or 500
    title, detail = _HTTP_MESSAGES.get(status, (error.name, error.description or error.name))
    if wants_json():
        response: AnyResponse = problem(status, title, detail, error.name.replace(" ", "-").lower(), {})
    else:
        response = _page(status, title, detail)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


_HTTP_MESSAGES = {
    404: ("Not found.", "The address is wrong, or the page was removed."),
    405: ("Method not allowed.", "This address does not support the request's method."),
    413: ("The request is too large.", "Send less at once."),
}


def _form_expired(_error: CSRFError) -> AnyResponse:
    title, detail = "This form has expired.", "Load the page again, then send the form once more. Nothing was changed."
    if wants_json():
        return problem(400, title, detail, "form-expired", {})
    return _page(400, title, detail)


def _unforeseen(error: Exception) -> AnyResponse:
    """An unexpected error: the log has the traceback, the page has the request id to find it by."""
    log.error("request_failed", exc_info=error)
    title = "Something went wrong in IMS."
    detail = "The error was logged. Try again; if it happens again, contact your administrator."
    if wants_json():
        return problem(500, title, detail, "internal", {})
    return _page(500, title, detail)


def _page(
    status: int, title: str, detail: str, *, refresh: bool = False, fields: Sequence[FieldError] = ()
) -> Response:
    page = render_template(
        "errors/error.html",
        status=status,
        title=title,
        detail=detail,
        refresh=RETRY_SECONDS if refresh else None,
        fields=fields,
    )
    return Response(page, status, mimetype="text/html")
