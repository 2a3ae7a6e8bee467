"""Pages that keep themselves up to date: each second a script asks for its page again, saying what it has."""

import hashlib
import json
from collections.abc import Callable
from datetime import datetime

from flask import Response, make_response, request

from ims.http.requests import LIVE_HEADER


def answer(state: object, render: Callable[[], str]) -> Response:
    """The page, or 304 when `state` is what the script has already; then nothing is rendered.

    `state` is everything the page shows that can change, as JSON values. A person's own reload always gets a page.
    """
    tag = hashlib.sha256(json.dumps(state, default=str).encode()).hexdigest()[:20]
    if LIVE_HEADER in request.headers and tag in request.if_none_match:
        response = make_response("", 304)
    else:
        response = make_response(render())
    response.set_etag(tag)
    return response


def moment(now: datetime, seconds: int) -> int:
    """A number that changes each `seconds`: part of the state of a page whose pictures grow with time."""
    return int(now.timestamp()) // seconds
