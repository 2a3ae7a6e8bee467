"""The webhook: accepts alerts, commits them and answers. It decides nothing and runs nothing."""

import json
import time
from functools import partial
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from ims.alerts.bodies import response_body
from ims.alerts.metrics import ALERT_PROCESSING
from ims.alerts.notifications import clean
from ims.alerts.parsers.formats import ALERT_PATHS, MODE_HEADER, check_mode, parser_for
from ims.core.clock import utc_now
from ims.core.context import Context, Origin
from ims.core.db.engine import Database, app_url
from ims.core.db.migrate import SchemaOutdated, check_schema
from ims.core.errors import DatabaseAway, Invalid, TooLarge
from ims.core.json_body import read_json
from ims.core.metrics import metrics_response
from ims.core.principal import Principal
from ims.core.settings import Settings, load_settings
from ims.heartbeats.usecases import is_heartbeat, take_heartbeat
from ims.sources.admission import Admission
from ims.sources.authentication import Tokens
from webhook import problems
from webhook.committer import Committer, Request

CONNECTIONS = 4
"""Database connections of a process: one commits, the others look up tokens and answer health checks."""
DATABASE = "ims.database"
"""Key of the application's database, so that the caller of `create_app` can close it."""


def create_app(settings: Settings | None = None) -> Flask:
    """The WSGI application. It opens no connection before the first request."""
    settings = settings or load_settings()
    app = Flask("webhook", static_folder=None)
    # One byte more than allowed: Werkzeug silently truncates a body without Content-Length at this limit.
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes + 1
    database = Database(app_url(settings), pool_size=CONNECTIONS)
    app.extensions[DATABASE] = database
    problems.install(app, settings.max_body_bytes)
    _add_senders(app, database, settings)
    _add_health(app, database)
    return app


def _add_senders(app: Flask, database: Database, settings: Settings) -> None:
    tokens, committer = Tokens(database), Committer(database)
    admission = Admission(settings.trusted_networks)

    def take(path: str) -> tuple[Response, int]:
        began = time.monotonic()
        sender = tokens.sender(request.headers.get("Authorization"))
        admission.let_in(sender, request.remote_addr, request.headers.getlist("X-Forwarded-For"))
        parse = parser_for(path, sender)
        check_mode(path, request.headers.get(MODE_HEADER))
        body = request.get_data(cache=False)
        if len(body) > settings.max_body_bytes:
            raise RequestEntityTooLarge
        parsed = parse(read_json(body), sender.name, utc_now())
        admission.charge(sender, len(parsed.notifications) + len(parsed.rejected))
        waiting = Request(sender.name, parsed, len(body))
        committer.commit(waiting)
        ALERT_PROCESSING.observe(time.monotonic() - began)
        return _json(response_body(sender.name, parsed, waiting.results)), 202

    @app.route("/heartbeats/<name>", methods=["GET", "HEAD", "POST"])
    def heartbeat(name: str) -> tuple[Response, int]:
        """A heartbeat. Its body matters only if it reports that the sender's alert has resolved.

        Cron jobs and devices often can only fetch an address. With the token in a header, nothing that merely follows
        a link sends a heartbeat.
        """
        sender = tokens.sender(request.headers.get("Authorization"))
        admission.let_in(sender, request.remote_addr, request.headers.getlist("X-Forwarded-For"))
        is_taken = is_heartbeat(_json_or_none(request.get_data(cache=False)))
        admission.charge(sender, 1)
        if is_taken:
            with database.begin() as session:
                take_heartbeat(Context(session, Principal.of_source(sender.name), Origin(), utc_now()), clean(name))
        return _json({"heartbeat": name, "result": "taken" if is_taken else "ignored"}), 202

    for path in ALERT_PATHS:
        app.add_url_rule(path, path, partial(take, path), methods=["POST"])


def _add_health(app: Flask, database: Database) -> None:
    @app.get("/health")
    def alive() -> Response:
        """Liveness: does not query the database, since a restart of the webhook would not heal PostgreSQL."""
        return _json({"status": "ok"})

    @app.get("/health/ready")
    def ready() -> tuple[Response, int]:
        """Readiness: the database answers and has this program's schema."""
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


def _json_or_none(body: bytes) -> Any:
    try:
        return read_json(body)
    except (Invalid, TooLarge):
        return None


def _json(content: Any) -> Response:
    return Response(json.dumps(content), mimetype="application/json")
