"""The webhook: accepts alerts, commits them and answers. It decides nothing and runs nothing."""

import json
from functools import partial
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from ims.alerts.notifications import clean
from ims.alerts.parsers.formats import ALERT_PATHS
from ims.core.context import Context, Origin
from ims.core.db import readiness
from ims.core.db.engine import Database, app_url, database_now
from ims.core.errors import Invalid, TooLarge
from ims.core.json_body import read_json
from ims.core.metrics import metrics_response
from ims.core.principal import Principal
from ims.core.settings import Settings, load_settings
from ims.heartbeats.usecases import is_heartbeat, take_heartbeat
from ims.http.front.worker import DIRECT
from ims.sources.definition import PATHS, SourceKind
from webhook import problems
from webhook.intake import Intake

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
    database = Database(app_url(settings), pool_size=CONNECTIONS, statement_seconds=settings.database_statement_seconds)
    app.extensions[DATABASE] = database
    problems.install(app, settings.max_body_bytes)
    _add_senders(app, database, settings)
    _add_health(app, database)
    return app


def _add_senders(app: Flask, database: Database, settings: Settings) -> None:
    intake = Intake(settings, database)
    tokens, admission = intake.tokens, intake.admission
    app.extensions[DIRECT] = intake.on_the_loop

    def take(path: str) -> tuple[Response, int]:
        sender = tokens.sender(request.headers.get("Authorization"))
        admitted = intake.admit(path, sender, request.remote_addr, request.headers.getlist("X-Forwarded-For"))
        body = request.get_data(cache=False)
        if len(body) > settings.max_body_bytes:
            raise RequestEntityTooLarge
        waiting = intake.read(admitted, body, request.mimetype, request.headers)
        intake.committer.commit(waiting)
        return _json(intake.answer(admitted, waiting)), 202

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
                context = Context(session, Principal.of_source(sender.name), Origin(), database_now(session))
                take_heartbeat(context, clean(name))
        return _json({"heartbeat": name, "result": "taken" if is_taken else "ignored"}), 202

    @app.route(PATHS[SourceKind.CLOUDEVENTS], methods=["OPTIONS"], provide_automatic_options=False)
    def consent() -> Response:
        """Who is about to send CloudEvents asks whether they are wanted. Each of them needs a valid token all the same.

        Source: github.com/cloudevents/spec, cloudevents/http-webhook.md, "Abuse protection".
        """
        response = Response(status=200, headers={"Allow": "POST, OPTIONS"})
        origin = request.headers.get("WebHook-Request-Origin")
        if origin:
            response.headers["WebHook-Allowed-Origin"] = origin
            response.headers["WebHook-Allowed-Rate"] = "*"
        return response

    for path in ALERT_PATHS:
        app.add_url_rule(path, path, partial(take, path), methods=["POST"], provide_automatic_options=False)


def _add_health(app: Flask, database: Database) -> None:
    @app.get("/health")
    def alive() -> Response:
        """Liveness: does not query the database, since a restart of the webhook would not heal PostgreSQL."""
        return _json({"status": "ok"})

    @app.get("/health/ready")
    def ready() -> tuple[Response, int]:
        """Whether alerts can be taken: the database answers, can store something and has this program's schema."""
        if (fault := readiness.fault(database)) is not None:
            return _json({"status": "unavailable", "database": fault}), 503
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
