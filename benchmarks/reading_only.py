"""The yardstick: a Flask handler that reads the body and answers. Nothing that does more can be faster."""

from flask import Flask, request
from flask.typing import ResponseReturnValue


def create_app() -> Flask:
    """An application with one route, `POST /alerts`."""
    app = Flask(__name__)

    @app.post("/alerts")
    def read_alerts() -> ResponseReturnValue:
        request.get_data()
        return {"alerts": []}, 202

    @app.get("/health")
    def health() -> ResponseReturnValue:
        return {"status": "ok"}

    return app
