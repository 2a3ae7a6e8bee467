"""`/health` (liveness), `/health/ready` (readiness) and `/metrics` of ims-web."""

from flask import Blueprint, Response, current_app, jsonify

from ims.core.db.migrate import SchemaOutdated, check_schema
from ims.core.errors import DatabaseAway
from ims.http.authentication import public
from ims.http.metrics import exposition
from ims.http.resources import database

health = Blueprint("health", __name__)

STATISTICS = "ims.statistics"
"""Key of the application's `DatabaseStatistics`."""


@health.get("/health")
@public
def alive() -> Response:
    """Liveness: does not query the database, since a restart of IMS would not heal PostgreSQL."""
    return jsonify(status="ok")


@health.get("/health/ready")
@public
def ready() -> tuple[Response, int]:
    """Readiness: the database answers and has this program's schema."""
    try:
        check_schema(database())
    except DatabaseAway:
        return jsonify(status="unavailable", database="away"), 503
    except SchemaOutdated:
        return jsonify(status="unavailable", database="schema outdated"), 503
    return jsonify(status="ok", database="ok"), 200


@health.get("/metrics")
@public
def metrics() -> Response:
    """Metrics for Prometheus."""
    return exposition(current_app.extensions[STATISTICS])
