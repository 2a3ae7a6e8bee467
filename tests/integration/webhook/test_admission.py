"""Allowed networks and rate limits of sources, tested on the application."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from ims.accounts.models import ApiToken
from ims.accounts.tokens.usecases import revoke_token, rotate_token
from ims.alerts.models import Alert
from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.core.settings import Settings
from ims.sources import authentication
from ims.sources.models import Source
from ims.sources.usecases import create_source_token
from tests.integration.webhook.conftest import TOKEN
from tests.support.context import by_command
from tests.support.notifications import SOURCE, alertmanager_alert, alertmanager_body
from webhook.app import DATABASE, create_app

PROXY = "10.1.1.1"


@pytest.fixture
def proxied(settings: Settings, source: Database) -> Iterator[FlaskClient]:
    """The application behind a proxy that it trusts."""
    app = create_app(settings.model_copy(update={"trusted_proxies": "10.1.0.0/16, ::1"}))
    yield app.test_client()
    app.extensions[DATABASE].dispose()


def describe(database: Database, **values: Any) -> None:
    with database.begin() as session:
        for field, value in values.items():
            setattr(session.get_one(Source, SOURCE), field, value)


def post(client: FlaskClient, *names: str, token: str = TOKEN, peer: str = PROXY, forwarded: str = "") -> TestResponse:
    headers = {"Authorization": f"Bearer {token}"} | ({"X-Forwarded-For": forwarded} if forwarded else {})
    body = alertmanager_body(*(alertmanager_alert(name) for name in names))
    return client.post("/alerts", json=body, headers=headers, environ_base={"REMOTE_ADDR": peer})


def names(database: Database) -> list[str]:
    with database.begin() as session:
        return list(session.scalars(select(Alert.name).order_by(Alert.name)))


def test_a_source_is_let_in_from_its_networks_only(proxied: FlaskClient, source: Database) -> None:
    describe(source, networks=["192.0.2.0/24"])
    assert post(proxied, "Good", forwarded="192.0.2.7").status_code == 202
    refused = post(proxied, "Elsewhere", forwarded="198.51.100.1")
    assert (refused.status_code, refused.json and refused.json["type"]) == (403, "urn:ims:problem:address-refused")
    # Only a trusted proxy is believed, and only the address that it saw itself.
    assert post(proxied, "Liar", peer="198.51.100.1", forwarded="192.0.2.7").status_code == 403
    assert post(proxied, "Liar", forwarded="192.0.2.7, 198.51.100.1").status_code == 403
    assert post(proxied, "Direct", peer="192.0.2.7").status_code == 202
    assert names(source) == ["Direct", "Good"]


def test_without_trusted_proxies_no_header_is_believed(client: FlaskClient, source: Database) -> None:
    describe(source, networks=["192.0.2.0/24"])
    assert post(client, "Liar", forwarded="192.0.2.7").status_code == 403


def test_a_source_over_its_rate_limit_gets_a_retry_after_and_loses_no_alert(
    client: FlaskClient, source: Database
) -> None:
    describe(source, rate_limit=0.05)
    assert post(client, "A", "B", "C").status_code == 202
    late = post(client, "D")
    assert (late.status_code, late.json and late.json["type"]) == (503, "urn:ims:problem:too-fast")
    assert 1 <= int(late.headers["Retry-After"]) <= 60
    assert names(source) == ["A", "B", "C"]
    assert b'webhook_admission_refused_total{reason="rate"}' in client.get("/metrics").data


def test_a_token_works_while_its_overlap_lasts_and_no_longer(
    client: FlaskClient, source: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "REMEMBERED_SECONDS", 0.0)
    with source.begin() as session:
        old = create_source_token(by_command(session, utc_now()), SOURCE, "")
        new = rotate_token(by_command(session, utc_now()), old.name, timedelta(hours=1))
    assert [post(client, "A", token=token.text).status_code for token in (old, new)] == [202, 202]
    with source.begin() as session:
        revoke_token(by_command(session, utc_now()), old.name)
    assert [post(client, "A", token=token.text).status_code for token in (old, new)] == [401, 202]
    with source.begin() as session:
        used = session.scalars(select(ApiToken.last_used_at).filter_by(id=new.id)).one()
    assert used is not None


def test_nothing_is_taken_from_a_disabled_source(client: FlaskClient, source: Database) -> None:
    describe(source, disabled_at=utc_now())
    assert post(client, "A").status_code == 401
