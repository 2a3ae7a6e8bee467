"""`/health`: the process lives. `/health/ready`: it can do its work. `/metrics`: what it counts."""

from flask import Blueprint, Response, current_app, jsonify

from ims.core.db import readiness
from ims.http.authentication import public
from ims.http.metrics import exposition
from ims.http.resources import database

health = Blueprint("health", __name__)

STATISTICS = "ims.statistics"
"""Where the application keeps its `DatabaseStatistics`."""


@health.get("/health")
@public
def alive() -> Response:
    """The process answers. Asks nothing of the database: a restart of IMS would not heal PostgreSQL."""
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
    """Figures for Prometheus."""
    return exposition(current_app.extensions[STATISTICS])
