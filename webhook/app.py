"""The webhook: takes alerts, commits them, answers. It decides nothing and runs nothing."""

import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from flask import Flask, Response, request
from flask import json as flask_json
from werkzeug.exceptions import RequestEntityTooLarge

from ims.alerts.episodes import Result
from ims.alerts.notices import Notice, Parsed, RejectReason
from ims.db.engine import Database, app_url
from ims.db.migrate import SchemaOutdated, check_schema
from ims.errors import DatabaseAway, Invalid, TooLarge
from ims.metrics import ALERT_PROCESSING, metrics_response
from ims.queue import utc_now
from ims.settings import Settings, load_settings
from webhook import problems
from webhook.admission import Admission
from webhook.committer import Committer, Request
from webhook.sources import alertmanager
from webhook.tokens import Tokens

CONNECTIONS = 4
"""Database connections of a process: one commits, the others look up tokens and answer health checks."""
DATABASE = "ims.database"
"""Under this name the application keeps its database, so that whoever made it can close it."""
LONGEST_INTEGER = 400
"""Digits; a longer number is read as a float, for Python refuses to read it as an integer."""

Parser = Callable[[Any, str, datetime], Parsed]


class NotJson(Invalid):
    """The body is not JSON."""


def create_app(settings: Settings | None = None) -> Flask:
    """The WSGI application. Nothing is connected before the first request."""
    settings = settings or load_settings()
    app = Flask("webhook", static_folder=None)
    # One more than allowed: of a body without a length Werkzeug cuts what is beyond and says nothing.
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes + 1
    database = Database(app_url(settings), pool_size=CONNECTIONS)
    app.extensions[DATABASE] = database
    problems.install(app)
    _add_senders(app, database, settings)
    _add_health(app, database)
    return app


def _add_senders(app: Flask, database: Database, settings: Settings) -> None:
    tokens, committer = Tokens(database), Committer(database)
    admission = Admission(settings.trusted_networks)

    def take(parse: Parser) -> tuple[Response, int]:
        began = time.monotonic()
        sender = tokens.sender(request.headers.get("Authorization"))
        admission.let_in(sender, request.remote_addr, request.headers.getlist("X-Forwarded-For"))
        body = request.get_data(cache=False)
        if len(body) > settings.max_body_bytes:
            raise RequestEntityTooLarge
        parsed = parse(read_json(body), sender.name, utc_now())
        admission.charge(sender, len(parsed.notices) + len(parsed.rejected))
        waiting = Request(sender.name, parsed, len(body))
        committer.commit(waiting)
        ALERT_PROCESSING.observe(time.monotonic() - began)
        return _json(told(waiting)), 202

    app.add_url_rule("/alerts", "alerts", lambda: take(alertmanager.parse), methods=["POST"])


def _add_health(app: Flask, database: Database) -> None:
    @app.get("/health")
    def alive() -> Response:
        """The process answers. Asks nothing of the database: restarting the webhook would not heal it."""
        return _json({"status": "ok"})

    @app.get("/health/ready")
    def ready() -> tuple[Response, int]:
        """Whether alerts can be taken: the database answers and has this program's schema."""
        try:
            check_schema(database)
        except DatabaseAway:
            return _json({"status": "unavailable", "database": "away"}), 503
        except SchemaOutdated:
            return _json({"status": "unavailable", "database": "schema outdated"}), 503
        return _json({"status": "ok", "database": "ok"}), 200

    @app.get("/metrics")
    def metrics() -> Response:
        body, content_type = metrics_response()
        return Response(body, content_type=content_type)


def read_json(body: bytes) -> Any:
    """The JSON in a body. Raises `NotJson`, and `TooLarge` when it is nested deeper than anything can be read."""
    try:
        return json.loads(body, parse_int=_integer, parse_constant=_no_constant)
    except RecursionError:
        raise TooLarge("The body is nested too deep.") from None
    except ValueError:
        raise NotJson from None


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_INTEGER else float(digits)


def _no_constant(name: str) -> None:
    """NaN and Infinity are no JSON."""
    raise ValueError(name)


def told(taken: Request) -> dict[str, Any]:
    """What became of each alert, in the sender's order."""
    alerts = [
        _told_of_notice(place, notice, result)
        for place, notice, result in zip(taken.parsed.places, taken.parsed.notices, taken.results, strict=True)
    ]
    alerts += [
        {"place": one.place, "result": "rejected", "reason": one.reason.value, "message": one.message}
        for one in taken.parsed.rejected
    ]
    alerts.sort(key=lambda alert: alert["place"])
    rejected = sum(alert["result"] == Result.REJECTED.value for alert in alerts)
    return {
        "source": taken.source,
        "accepted": len(alerts) - rejected,
        "rejected": rejected,
        "truncated": taken.parsed.truncated,
        "alerts": alerts,
    }


def _told_of_notice(place: int, notice: Notice, result: Result) -> dict[str, Any]:
    told = {"place": place, "fingerprint": notice.fingerprint, "result": result.value}
    if result is Result.REJECTED:
        told |= {"reason": RejectReason.NOT_STORABLE.value, "message": "The database refused it."}
    return told


def _json(content: Any) -> Response:
    return Response(flask_json.dumps(content), mimetype="application/json")
