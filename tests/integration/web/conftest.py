"""Pages with the night of `tests.support.shop`: alice administers, bob responds, charlie looks on."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, insert
from sqlalchemy.orm import Session

from ims.core.clock import utc_now
from ims.core.db.engine import Database, app_url
from ims.core.settings import Settings
from ims.incidents.models import INCIDENT_NUMBER, Incident
from ims.programs.web import create_app
from tests.conftest import _empty
from tests.support.history import PASSWORD
from tests.support.postgres import PostgresServer
from tests.support.shop import fill

SignIn = Callable[[str], FlaskClient]


class OneConnection(Database):
    """A database all of whose transactions are savepoints of one that is rolled back: nothing stays of a test."""

    connection: Connection

    @contextmanager
    def begin(self) -> Iterator[Session]:
        session = Session(self.connection, join_transaction_mode="create_savepoint", expire_on_commit=False)
        with session, session.begin():
            yield session


@pytest.fixture(scope="module")
def night(settings: Settings, postgres: PostgresServer) -> Iterator[datetime]:
    """The night, written once for all tests of a module; gives its end."""
    now = utc_now()
    # Numbers are taken from sequences of their own, which emptying tables does not touch.
    for sequence in ("incident_number_seq", "run_number_seq"):
        postgres.execute(f"ALTER SEQUENCE {sequence} RESTART", database="ims")
    database = Database(app_url(settings), pool_size=1)
    with database.begin() as session:
        fill(session, now)
    database.dispose()
    yield now
    _empty(settings, postgres)


@pytest.fixture
def now(night: datetime) -> datetime:
    return night


@contextmanager
def rolled_back(settings: Settings) -> Iterator[Database]:
    """A database that is as it was again afterwards."""
    database = OneConnection(app_url(settings), pool_size=1)
    with database.engine.connect() as connection:
        transaction = connection.begin()
        database.connection = connection
        yield database
        transaction.rollback()
    database.dispose()


@pytest.fixture
def database(settings: Settings, night: datetime) -> Iterator[Database]:
    """The database of the application and of the test."""
    with rolled_back(settings) as database:
        yield database


@pytest.fixture
def app(settings: Settings, database: Database) -> Flask:
    return create_app(settings, database)


@pytest.fixture
def sign_in(app: Flask) -> SignIn:
    """A client that is signed in under a name."""

    def sign_in(name: str) -> FlaskClient:
        client = app.test_client()
        answer = client.post("/sign-in", data={"name": name, "password": PASSWORD, **token(client, "/sign-in")})
        assert answer.status_code == 302
        return client

    return sign_in


def token(client: FlaskClient, page: str = "/incidents/new") -> dict[str, str]:
    """The CSRF token of a page's form, as form data."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get(page).text)
    assert found
    return {"csrf_token": found[1]}


def storm(database: Database, now: datetime, services: Sequence[str], number: int) -> None:
    """Incidents of one minute, as many alerts would open them."""
    rows = [
        {"id": uuid4(), "title": f"{services[place % len(services)]} is down <&>", "environment": "production",
         "severity": "high", "service": services[place % len(services)], "status": "open", "labels": {},
         "opened_at": now - timedelta(seconds=60 * place / number), "updated_at": now}
        for place in range(number)
    ]  # fmt: skip
    with database.begin() as session:
        session.execute(insert(Incident).values(number=INCIDENT_NUMBER.next_value()), rows)
