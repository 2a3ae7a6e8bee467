"""`/health` (liveness), `/health/ready` (readiness) and `/metrics` of ims-web."""

from flask import Blueprint, Response, current_app, jsonify

from ims.core.db import readiness
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
    """Whether requests can be served: the database answers, can store something and has this program's schema."""
    if (fault := readiness.fault(database())) is not None:
        return jsonify(status="unavailable", database=fault), 503
    return jsonify(status="ok", database="ok"), 200


@health.get("/metrics")
@public
def metrics() -> Response:
    """Metrics for Prometheus."""
    return exposition(current_app.extensions[STATISTICS])
