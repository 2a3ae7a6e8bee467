"""Alerts by the REST API: sent by a script, listed, read with their episodes."""

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY
from werkzeug.test import TestResponse

from ims.accounts.models import ApiToken
from ims.accounts.passwords import hash_token
from ims.api.documentation import Documentation
from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.programs.web import GROUPS
from ims.sources.models import Source
from tests.integration.api.conftest import Ask, errors_of

Send = Callable[..., TestResponse]


@pytest.fixture
def send(ask: Ask, database: Database) -> Send:
    """Send alerts as a script that has the token of a generic source."""
    with database.begin() as session:
        session.add(Source(name="scripts", kind="generic", created_at=utc_now()))
        session.flush()
        token = {"hash": hash_token("of scripts"), "source": "scripts", "scopes": ["alerts:write"]}
        session.add(ApiToken(**token, created_at=utc_now()))

    def send(*alerts: Any, credential: str = "of scripts") -> TestResponse:
        return ask(None, "POST", "/alerts", json=list(alerts), headers={"Authorization": f"Bearer {credential}"})

    return send


def _alert(name: str, **more: Any) -> dict[str, Any]:
    return {"message": f"{name} is wrong", "name": name, "severity": "high", **more}


def test_each_sent_alert_has_a_result_and_can_be_read(ask: Ask, send: Send) -> None:
    shown = send(_alert("Disk", service="checkout"), {"no": "message"}).get_json()
    assert (shown["source"], shown["accepted"], shown["rejected"]) == ("scripts", 1, 1)
    opened, rejected = shown["alerts"]
    assert set(opened) == {"place", "fingerprint", "result"}
    assert (rejected["place"], rejected["result"], rejected["reason"]) == (1, "rejected", "wrong_field")
    (listed,) = ask("victor", "GET", "/alerts").get_json()["items"]
    assert (listed["name"], listed["service"], listed["firing"]) == ("Disk", "checkout", True)
    assert listed["fingerprint"] == opened["fingerprint"]


def test_an_alert_is_read_with_its_episodes_and_incidents(ask: Ask, send: Send) -> None:
    send(_alert("Disk"))
    send(_alert("Disk"))
    send(_alert("Disk", status="resolved"))
    (listed,) = ask("bob", "GET", "/alerts").get_json()["items"]
    whole = ask("bob", "GET", f"/alerts/{listed['id']}").get_json()
    (episode,), (incident,) = whole["episodes"], whole["incidents"]
    assert (whole["firing"], episode["notifications"], episode["closed_at"] is None) == (False, 3, False)
    assert (incident["incident"], incident["status"]) == (episode["incident"], "resolved")
    assert ask("bob", "GET", f"/incidents/{incident['incident']}").status_code == 200


def test_alerts_are_filtered_and_listed_a_page_at_a_time(ask: Ask, send: Send) -> None:
    for number in range(4):
        send(_alert(f"Disk{number}", environment="stage"))
    send(_alert("Other", severity="low"))
    send(_alert("Disk1", environment="stage", status="resolved"))
    first = ask("bob", "GET", "/alerts?environment=stage&limit=3").get_json()
    rest = ask("bob", "GET", f"/alerts?environment=stage&limit=3&cursor={first['next']}").get_json()
    assert [one["name"] for one in first["items"] + rest["items"]] == ["Disk3", "Disk2", "Disk1", "Disk0"]
    assert rest["next"] is None
    for query, names in {
        "firing=false": ["Disk1"],
        "firing=true&environment=stage": ["Disk3", "Disk2", "Disk0"],
        "severity=low": ["Other"],
        "name=Disk2": ["Disk2"],
        "source=alertmanager": [],
    }.items():
        assert [one["name"] for one in ask("bob", "GET", f"/alerts?{query}").get_json()["items"]] == names, query
    assert list(errors_of(ask("bob", "GET", f"/alerts?cursor={first['next']}"), 422)) == ["cursor"]


@pytest.mark.parametrize(
    "query", ["firing=1", "firing=true&firing=true", "severity=worst", "limit=0", "name=%00", "order=x"]
)
def test_a_wrong_parameter_is_named(ask: Ask, query: str) -> None:
    assert query.partition("=")[0] in errors_of(ask("victor", "GET", f"/alerts?{query}"))


@pytest.mark.parametrize("alert_id", ["0", "-1", "9" * 18, "9" * 19, "x", "1.0", "%00"])
def test_an_unknown_alert_is_not_found(ask: Ask, alert_id: str) -> None:
    assert ask("bob", "GET", f"/alerts/{alert_id}").status_code == 404


def test_only_a_source_s_token_sends(ask: Ask, send: Send, database: Database) -> None:
    assert send(_alert("Disk"), credential="wrong").status_code == 401
    assert ask("root", "POST", "/alerts", json=_alert("Disk")).status_code == 401
    with database.begin() as session:
        session.get_one(Source, "scripts").networks = ["192.0.2.0/24"]
    assert send(_alert("Disk")).status_code == 403
    assert ask("bob", "GET", "/alerts").get_json()["items"] == []


def test_a_body_that_cannot_be_read_costs_as_much_as_an_alert(ask: Ask, send: Send, database: Database) -> None:
    with database.begin() as session:
        session.get_one(Source, "scripts").rate_limit = 0.1
    headers = {"Authorization": "Bearer of scripts", "Content-Type": "application/json"}
    answers = [ask(None, "POST", "/alerts", data=b"{", headers=headers).status_code for _ in range(3)]
    assert (answers[0], answers[-1]) == (400, 503)


def test_an_alert_that_asks_for_nothing_is_counted(send: Send) -> None:
    before = REGISTRY.get_sample_value("alerts_correlated_total", {"result": "ignored"}) or 0
    answer = send({"message": "Does it arrive?", "state": "test"}).get_json()
    assert answer["ignored"] == 1
    assert REGISTRY.get_sample_value("alerts_correlated_total", {"result": "ignored"}) == before + 1


def test_sending_is_documented_with_what_an_alert_may_say() -> None:
    (group,) = [group for group in GROUPS if group.tag == "Alerts"]
    send, *_ = Documentation(GROUPS).explain(group)
    assert {"message", "severity", "fingerprint"} <= {field.name for field in send.fields}
    assert {"202", "400", "401", "403", "413", "422", "503"} == {status for status, _ in send.statuses}
    assert "$IMS_SOURCE_TOKEN" in send.curl
