"""Each path accepts what its kinds of source send, and no body breaks it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from sqlalchemy import select
from werkzeug.test import TestResponse

from ims.alerts.models import Alert
from ims.core.db.engine import Database
from ims.core.settings import Settings
from ims.programs.web import create_app as create_web
from ims.sources.models import Source
from tests.integration.webhook.conftest import TOKEN
from tests.integration.webhook.test_requests import HOSTILE
from tests.support.notifications import SOURCE, alertmanager_alert, cloudevent, generic_alert, grafana_body
from tests.unit.alerts.test_notifications import json_values
from tests.unit.alerts.test_senders import KEYS

API = "/api/v1/alerts"
GOOD: dict[str, tuple[str, Any]] = {
    "/alerts": ("grafana", grafana_body(alertmanager_alert())),
    "/alerts/generic": ("generic", generic_alert()),
    "/alerts/cloudevents": ("cloudevents", cloudevent()),
    API: ("generic", generic_alert()),
}
"""A path, the kind of source that may send there, and a body of its."""

Post = Callable[..., TestResponse]


@pytest.fixture
def web(settings: Settings, source: Database) -> FlaskClient:
    """ims-web: the same generic alerts are taken there."""
    return create_web(settings, source).test_client()


@pytest.fixture
def post(client: FlaskClient, web: FlaskClient) -> Post:
    def post(path: str, body: Any, token: str = TOKEN) -> TestResponse:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        asked = web if path == API else client
        return asked.post(path, data=data, headers={"Authorization": f"Bearer {token}"})

    return post


def set_kind(database: Database, kind: str, **values: Any) -> None:
    with database.begin() as session:
        for field, value in {"kind": kind, **values}.items():
            setattr(session.get_one(Source, SOURCE), field, value)


@pytest.mark.parametrize("path", GOOD)
def test_an_alert_is_taken_and_a_repeat_is_known(post: Post, source: Database, path: str) -> None:
    kind, body = GOOD[path]
    set_kind(source, kind)
    answers = [post(path, body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert [answer.json["alerts"][0]["result"] for answer in answers if answer.json] == ["opened", "duplicate"]
    with source.begin() as session:
        assert session.scalars(select(Alert.severity)).all() == ["critical" if kind == "grafana" else "high"]


@pytest.mark.parametrize("path", GOOD)
def test_a_source_of_another_kind_gets_the_right_path_in_the_error(post: Post, source: Database, path: str) -> None:
    kind, body = GOOD[path]
    set_kind(source, "cloudevents" if kind != "cloudevents" else "generic")
    answer = post(path, body)
    assert answer.status_code == 403
    assert answer.json is not None
    assert "ims source add" in answer.json["detail"]


@pytest.mark.parametrize("path", ["/alerts/generic", "/alerts/cloudevents", API])
def test_a_list_is_accepted_and_its_invalid_alerts_are_named(post: Post, source: Database, path: str) -> None:
    kind, body = GOOD[path]
    set_kind(source, kind)
    answer = post(path, [body, {}])
    assert answer.json is not None
    assert (answer.json["accepted"], answer.json["rejected"]) == (1, 1)
    named = "specversion: " if kind == "cloudevents" else "message: "
    assert answer.json["alerts"][1]["message"].startswith(named)


BINARY = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/caf%C3%A9", "ce-type": "example.queue.long"}


@pytest.mark.parametrize(
    ("media_type", "headers", "body", "source_named"),
    [
        ("application/json", BINARY, generic_alert(), "/caf\u00e9"),
        ("application/cloudevents+json", BINARY, cloudevent(), "/shop/queues"),
        ("application/cloudevents+json; charset=utf-8", {"ce-extra": "x"}, cloudevent(), "/shop/queues"),
        ("application/cloudevents-batch+json", BINARY, [cloudevent()], "/shop/queues"),
        ("application/json", BINARY, cloudevent(), "/shop/queues"),
        ("application/json", {}, cloudevent(), "/shop/queues"),
    ],
)
def test_events_come_in_every_mode(
    client: FlaskClient, source: Database, media_type: str, headers: dict[str, str], body: Any, source_named: str
) -> None:
    set_kind(source, "cloudevents")
    given = {"Authorization": f"Bearer {TOKEN}", "Content-Type": media_type, **headers}
    answer = client.post("/alerts/cloudevents", data=json.dumps(body), headers=given)
    assert (answer.status_code, answer.json and answer.json["accepted"]) == (202, 1)
    with source.begin() as session:
        assert [one["event_source"] for one in session.scalars(select(Alert.labels))] == [source_named]


def test_an_event_in_binary_mode_without_an_attribute_is_answered_which(client: FlaskClient, source: Database) -> None:
    set_kind(source, "cloudevents")
    headers = {"Authorization": f"Bearer {TOKEN}", "ce-specversion": "1.0", "ce-id": "1", "ce-type": "t"}
    answer = client.post("/alerts/cloudevents", json=generic_alert(), headers=headers)
    assert answer.status_code == 422
    assert answer.json is not None
    assert answer.json["errors"][0]["message"] == "source: is missing"


def test_who_asks_for_consent_to_send_events_gets_it_and_nobody_else(client: FlaskClient, source: Database) -> None:
    asked = {"WebHook-Request-Origin": "eventgrid.azure.net", "WebHook-Request-Rate": "120"}
    answer = client.options("/alerts/cloudevents", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["WebHook-Allowed-Origin"] == "eventgrid.azure.net"
    assert answer.headers["WebHook-Allowed-Rate"] == "*"
    assert "POST" in answer.headers["Allow"]
    assert "WebHook-Allowed-Origin" not in client.options("/alerts/cloudevents").headers
    assert client.options("/alerts", headers=asked).status_code == 405
    assert client.post("/alerts/cloudevents", json=cloudevent(), headers=asked).status_code == 401


def test_a_source_of_heartbeats_gets_their_path_in_the_error(client: FlaskClient, source: Database) -> None:
    set_kind(source, "heartbeat")
    answer = client.post("/alerts", json={}, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.json is not None
    assert "send to /heartbeats/<name>" in answer.json["detail"]


def test_ims_web_admits_the_senders_that_the_webhook_admits(post: Post, source: Database) -> None:
    set_kind(source, "generic", rate_limit=0.1)
    assert post(API, generic_alert(), token="wrong").status_code == 401
    assert post(API, [generic_alert()] * 5).status_code == 202
    late = post(API, generic_alert())
    assert (late.status_code, int(late.headers["Retry-After"]) > 3) == (503, True)


def test_ims_web_refuses_addresses_that_the_webhook_would_refuse(post: Post, source: Database) -> None:
    set_kind(source, "generic", networks=["192.0.2.0/24"])
    assert post(API, generic_alert()).status_code == 403


@pytest.mark.parametrize("path", GOOD)
def test_hostile_bodies_break_nothing(post: Post, source: Database, path: str) -> None:
    kind, good = GOOD[path]
    set_kind(source, kind)
    for name, body in HOSTILE.items():
        for said in (body, b"[%s]" % body, body.replace(b'"alerts"', b'"message": "m", "data"')):
            assert post(path, said).status_code in (202, 400, 413, 422), name
    assert post(path, good).status_code == 202


@pytest.mark.parametrize("path", GOOD)
def test_any_json_is_taken_or_refused(post: Post, source: Database, path: str) -> None:
    kind, good = GOOD[path]
    set_kind(source, kind)
    one = st.dictionaries(KEYS, json_values).map(lambda said: {**(good if isinstance(good, dict) else {}), **said})

    @settings_of_hypothesis(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(json_values | one | st.lists(one, max_size=3))
    def check(body: Any) -> None:
        assert post(path, body).status_code in (202, 400, 422)

    check()
