"""What the webhook answers, request by request."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from sqlalchemy import select, text
from werkzeug.test import TestResponse

from ims.accounts.models import ApiToken
from ims.accounts.passwords import hash_token
from ims.alerts.models import Alert, DeadLetter
from ims.core.db.engine import Database
from ims.core.settings import Settings
from ims.incidents.models import Incident
from tests.integration.webhook.conftest import TOKEN
from tests.support.notifications import NOW, SOURCE, alertmanager_alert, alertmanager_body
from tests.support.postgres import free_port
from tests.unit.alerts.test_notifications import alerts, json_values
from webhook.app import create_app

AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


def post(client: FlaskClient, body: Any, headers: dict[str, str] = AUTHORIZED) -> TestResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post("/alerts", data=data, headers={"Content-Type": "application/json", **headers})


def test_an_alert_is_accepted_and_the_response_contains_its_result(client: FlaskClient, source: Database) -> None:
    answer = post(client, alertmanager_body(alertmanager_alert(), {"labels": 7, "status": "firing"}))
    assert answer.status_code == 202
    assert answer.json == {
        "source": SOURCE,
        "accepted": 1,
        "rejected": 1,
        "ignored": 0,
        "truncated": 0,
        "alerts": [
            {"place": 0, "fingerprint": alertmanager_alert()["fingerprint"], "result": "opened"},
            {
                "place": 1,
                "result": "rejected",
                "reason": "wrong_labels",
                "message": "labels: must be an object",
            },
        ],
    }
    with source.begin() as session:
        assert session.scalars(select(Incident.title)).all() == ["checkout is down"]
        assert session.scalars(select(DeadLetter.reason)).all() == ["wrong_labels"]


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}, {"Authorization": "Basic YTpi"},
     {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": "Bearer \xff\xfe"}],
)  # fmt: skip
def test_without_a_valid_token_nothing_is_taken(client: FlaskClient, source: Database, headers: dict[str, str]) -> None:
    answer = post(client, alertmanager_body(alertmanager_alert()), headers)
    assert (answer.status_code, answer.content_type) == (401, "application/problem+json")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    with source.begin() as session:
        assert session.scalars(select(Alert)).all() == []


def test_an_expired_token_and_one_of_another_scope_are_refused(client: FlaskClient, source: Database) -> None:
    with source.begin() as session:
        session.add(
            ApiToken(hash=hash_token("old"), source=SOURCE, scopes=["alerts:write"], created_at=NOW, expires_at=NOW)
        )
        session.add(ApiToken(hash=hash_token("reader"), source=SOURCE, scopes=["alerts:read"], created_at=NOW))
        session.execute(text("UPDATE api_token SET expires_at = now() - interval '1 s' WHERE expires_at IS NOT NULL"))
    for token in ("old", "reader"):
        assert post(client, alertmanager_body(), {"Authorization": f"Bearer {token}"}).status_code == 401


@pytest.mark.parametrize("body", [b"", b"{", b"not json", b"\xff\xfe\x00", b'{"alerts": NaN}', b"{'alerts': []}"])
def test_a_body_that_is_not_json_is_refused(client: FlaskClient, body: bytes) -> None:
    answer = post(client, body)
    assert (answer.status_code, answer.json and answer.json["type"]) == (400, "urn:ims:problem:not-json")


@pytest.mark.parametrize("body", [None, 1, "alerts", [], {}, {"alerts": None}, {"alerts": {"0": 1}}])
def test_json_of_another_shape_is_refused(client: FlaskClient, body: Any) -> None:
    answer = post(client, body)
    assert (answer.status_code, answer.json and answer.json["type"]) == (400, "urn:ims:problem:not-alertmanager")


def test_a_body_over_the_cap_is_refused(client: FlaskClient) -> None:
    body = json.dumps(alertmanager_body(alertmanager_alert(long="x" * 200_001))).encode()
    answer = post(client, body)
    assert answer.status_code == 413
    assert answer.json is not None
    assert "200000 bytes" in answer.json["detail"]


def test_the_response_to_an_unknown_path_names_the_paths(client: FlaskClient) -> None:
    answer = client.post("/alerts/", headers=AUTHORIZED)
    assert answer.status_code == 404
    assert answer.json is not None
    assert "grafana sends to /alerts, generic sends to /alerts/generic," in answer.json["detail"]


@pytest.mark.parametrize("place", [0, 1, 50, 99])
def test_one_invalid_alert_among_99_valid_ones_affects_no_other(
    client: FlaskClient, source: Database, place: int
) -> None:
    alerts: list[Any] = [alertmanager_alert(f"Good{n}") for n in range(99)]
    alerts.insert(place, {"status": "firing", "labels": {"alertname": ["no", "text"]}})
    answer = post(client, alertmanager_body(*alerts))
    assert answer.json is not None
    assert (answer.status_code, answer.json["accepted"], answer.json["rejected"]) == (202, 99, 1)
    assert answer.json["alerts"][place]["result"] == "rejected"


HOSTILE: dict[str, bytes] = {
    "nul": b'{"alerts": [{"status": "firing", "labels": {"alertname": "a\\u0000b", "\\u0000": "\\u0000"}}]}',
    "surrogates": b'{"alerts": [{"status": "firing", "labels": {"alertname": "\\ud800", "a": "\\udfff\\ud83d"}}]}',
    "raw surrogates": b'{"alerts": [{"status": "firing", "labels": {"alertname": "\xed\xa0\x80"}}]}',
    "huge numbers": b'{"alerts": [{"status": "firing", "labels": {}, "n": %s}]}' % (b"9" * 50_000),
    "infinite numbers": b'{"alerts": [{"status": "firing", "labels": {"a": 1e999}}], "truncatedAlerts": 1e999}',
    "many cut": b'{"alerts": [], "truncatedAlerts": %s}' % (b"9" * 300),
    "deep": b"[" * 100_000,
    "deep inside": b'{"alerts": [{"status": "firing", "labels": {}, "x": %s%s}]}' % (b"[" * 900, b"]" * 900),
    "deep labels": b'{"alerts": [{"status": "firing", "labels": %s1%s}]}' % (b'{"a":' * 900, b"}" * 900),
    "far future": b'{"alerts": [{"status": "resolved", "labels": {}, "endsAt": "9999-12-31T23:59:59-23:59"}]}',
    "far past": b'{"alerts": [{"status": "resolved", "labels": {}, "endsAt": "0001-01-01T00:00:00+23:59"}]}',
    "control": b'{"alerts": [{"status": "firing", "labels": {"a": "\\u0001\\u007f\\ufffe\\uffff"}}]}',
    "long names": b'{"alerts": [{"status": "firing", "labels": {"alertname": "%s", "environment": "%s"}}]}'
    % ("\U0001f480".encode() * 5_000, "\U0001f480".encode() * 5_000),
    "many nothings": b'{"alerts": [%s0]}' % (b"0," * 20_000),
    "duplicate keys": b'{"alerts": 1, "alerts": [{"status": "firing", "labels": {"a": "1", "a": "2"}}]}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_are_taken_or_refused_but_break_nothing(
    client: FlaskClient, source: Database, name: str
) -> None:
    answer = post(client, HOSTILE[name])
    assert answer.status_code in (202, 400, 413), answer.data[:500]
    assert post(client, alertmanager_body(alertmanager_alert())).status_code == 202


def test_any_json_is_taken_or_refused(client: FlaskClient) -> None:
    @settings_of_hypothesis(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(json_values | st.lists(alerts | json_values, max_size=4).map(lambda said: {"alerts": said}))
    def check(body: Any) -> None:
        # Python also writes floats that JSON does not allow; that is part of the test.
        assert post(client, body).status_code in (202, 400)

    check()


def test_template_text_stays_text(client: FlaskClient, source: Database) -> None:
    evil = "{{ lookup('pipe', 'touch /tmp/x') }}"
    alert = alertmanager_alert(evil)
    alert["annotations"] = {"summary": evil, evil: evil}
    assert post(client, alertmanager_body(alert)).status_code == 202
    with source.begin() as session:
        stored = session.scalars(select(Alert)).one()
    assert (stored.name, stored.annotations) == (evil, {"summary": evil, evil: evil})


def test_truncated_alerts_are_fetched_later(client: FlaskClient, source: Database) -> None:
    alert = alertmanager_alert()
    answer = post(client, alertmanager_body(alert, truncated=12))
    assert answer.json is not None
    assert answer.json["truncated"] == 12
    with source.begin() as session:
        jobs = session.execute(text("SELECT args FROM procrastinate_jobs WHERE task_name = 'fetch_truncated'"))
        assert [row.args for row in jobs] == [
            {"source": SOURCE, "receiver": "ims", "alerts": 12, "fingerprints": [alert["fingerprint"]]}
        ]


def test_it_is_alive_and_ready(client: FlaskClient) -> None:
    assert client.get("/health").json == {"status": "ok"}
    assert client.get("/health/ready").json == {"status": "ok", "database": "ok"}
    assert b"alerts_received_total" in client.get("/metrics").data
    assert client.get("/alerts").status_code == 405
    assert client.get("/nothing").status_code == 404


def test_without_a_database_senders_get_a_503_and_a_retry_after(settings: Settings) -> None:
    away = settings.model_copy(update={"database_url": f"postgresql://ims_app@127.0.0.1:{free_port()}/ims"})
    client = create_app(away).test_client()
    answer = post(client, alertmanager_body(alertmanager_alert()))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "3")
    assert client.get("/health").status_code == 200
    assert client.get("/health/ready").status_code == 503
