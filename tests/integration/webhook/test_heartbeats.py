"""Heartbeats as senders post them."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from ims.core.db.engine import Database
from ims.heartbeats.models import StoredHeartbeat
from ims.policy.heartbeats import Heartbeat
from tests.integration.webhook.conftest import TOKEN
from tests.integration.webhook.test_requests import HOSTILE
from tests.support.notifications import alertmanager_alert, alertmanager_body, policy


@pytest.fixture(autouse=True)
def expected(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = policy().model_copy(update={"heartbeats": (Heartbeat(name="prometheus", every=60),)})
    monkeypatch.setattr("ims.heartbeats.usecases.policy_in_force", lambda _session: expected)


def post(client: FlaskClient, body: bytes = b"", name: str = "prometheus", token: str = TOKEN) -> TestResponse:
    return client.post(f"/heartbeats/{name}", data=body, headers={"Authorization": f"Bearer {token}"})


def known(database: Database) -> list[tuple[str, str | None]]:
    with database.begin() as session:
        return [(heartbeat.name, heartbeat.last_source) for heartbeat in session.scalars(select(StoredHeartbeat))]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_heartbeat_may_have_any_body(client: FlaskClient, source: Database, name: str) -> None:
    assert post(client, HOSTILE[name]).status_code == 202
    assert known(source) == [("prometheus", "alertmanager")]


def test_a_watchdog_is_a_heartbeat_while_it_fires_and_ignored_when_it_resolves(
    client: FlaskClient, source: Database
) -> None:
    body = alertmanager_body(alertmanager_alert("Watchdog"))
    over = client.post("/heartbeats/prometheus", json={**body, "status": "resolved"}, headers=_bearer())
    assert (over.status_code, over.json) == (202, {"heartbeat": "prometheus", "result": "ignored"})
    assert known(source) == []
    taken = client.post("/heartbeats/prometheus", json=body, headers=_bearer())
    assert (taken.status_code, taken.json) == (202, {"heartbeat": "prometheus", "result": "taken"})
    assert known(source) != []


@pytest.mark.parametrize("name", ["nobody", "a%00b", "%ff", "x" * 5000, "\U0001f480"])
def test_an_unknown_name_is_not_found(client: FlaskClient, name: str) -> None:
    assert post(client, name=name).status_code == 404


def test_without_a_valid_token_nothing_is_taken(client: FlaskClient, source: Database) -> None:
    assert post(client, token="wrong").status_code == 401
    assert client.get("/heartbeats/prometheus").status_code == 401
    assert known(source) == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_heartbeat_may_be_sent_by_any_method_that_can_fetch_an_address(
    client: FlaskClient, source: Database, method: str
) -> None:
    answer = client.open("/heartbeats/prometheus", method=method, headers=_bearer())
    assert answer.status_code == 202
    assert known(source) == [("prometheus", "alertmanager")]
    assert (answer.text == "") == (method == "HEAD")
    assert client.open("/heartbeats/nobody", method=method, headers=_bearer()).status_code == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_send_no_heartbeat(client: FlaskClient, source: Database, method: str) -> None:
    assert client.open("/heartbeats/prometheus", method=method, headers=_bearer()).status_code == 405
    assert known(source) == []


def _bearer() -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKEN}"}
