"""The REST API, called by the accounts of tests.support.cast, each with a token."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from ims.core.clock import utc_now
from ims.core.db.engine import Database, app_url
from ims.core.principal import Scope
from ims.core.settings import Settings
from ims.programs.web import create_app
from tests.integration.web.conftest import OneConnection
from tests.support.cast import add_people, add_token
from tests.support.history import add_policy

Ask = Callable[..., TestResponse]


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """The people and a policy with services, as if nothing had happened again afterwards."""
    database = OneConnection(app_url(settings), pool_size=1)
    with database.engine.connect() as connection:
        transaction = connection.begin()
        database.connection = connection
        with database.begin() as session:
            add_people(session, utc_now())
            add_policy(session, utc_now())
        yield database
        transaction.rollback()
    database.dispose()


@pytest.fixture
def app(settings: Settings, database: Database) -> Flask:
    return create_app(settings, database)


@pytest.fixture
def ask(app: Flask, database: Database) -> Ask:
    """`ask(name, method, path, …)`: one request below /api/v1 with a token of the account; None sends none."""
    tokens: dict[tuple[str, Scope], str] = {}

    def ask(
        name: str | None, method: str, path: str, *, scope: Scope = Scope.ADMIN, headers: Any = None, **more: Any
    ) -> TestResponse:
        given = dict(headers or {})
        if name is not None:
            if (name, scope) not in tokens:
                with database.begin() as session:
                    tokens[name, scope] = add_token(session, name, utc_now(), scope)
            given["Authorization"] = f"Bearer {tokens[name, scope]}"
        return app.test_client().open(f"/api/v1{path}", method=method, headers=given, **more)

    return ask


@pytest.fixture
def incident(ask: Ask) -> str:
    """An incident of checkout, which bob's team looks after and alice is assigned to."""
    body = {"title": "checkout is down", "severity": "high", "service": "checkout", "assignee": "alice"}
    return str(ask("root", "POST", "/incidents", json=body).get_json()["incident"])


def errors_of(answer: TestResponse, status: int = 400) -> dict[str, str]:
    """The messages of a rejected request, by field."""
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    return {wrong["field"]: wrong["message"] for wrong in answer.get_json()["errors"]}
