"""Live pages: a script polls its page each second and sends the ETag of the version it has."""

import hashlib
import json
from collections.abc import Callable
from datetime import datetime

from flask import Response, make_response, request

from ims.http.requests import LIVE_HEADER


def answer(state: object, render: Callable[[], str]) -> Response:
    """The page, or 304 without rendering it if `state` has not changed since the script's last poll.

    `state` is everything on the page that can change, as JSON values. A normal reload always gets the full page.
    """
    tag = hashlib.sha256(json.dumps(state, default=str).encode()).hexdigest()[:20]
    if LIVE_HEADER in request.headers and tag in request.if_none_match:
        response = make_response("", 304)
    else:
        response = make_response(render())
    response.set_etag(tag)
    return response


def moment(now: datetime, seconds: int) -> int:
    """A number that changes every `seconds` seconds, for the state of a page whose lifelines grow with time."""
    return int(now.timestamp()) // seconds
