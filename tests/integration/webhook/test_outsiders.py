"""What people who try IMS for the first time send, through the webhook, and what they expect of it."""

import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client import REGISTRY
from sqlalchemy import func, select, text

from ims.alerts.models import DeadLetter
from ims.alerts.truncation import record_truncated
from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.incidents.models import Incident, TimelineEvent
from ims.incidents.sentences import sentence_of
from ims.policy.models import PolicyActivation, PolicySnapshot
from ims.policy.schema import Policy, Service
from ims.sources.models import Source
from ims.sources.state import warnings_of
from tests.integration.webhook.conftest import TOKEN
from tests.support.notifications import SOURCE, ZERO_TIME

Send = Callable[..., dict[str, Any]]


@pytest.fixture
def send(client: FlaskClient, source: Database) -> Send:
    """Posts a body as a source of this kind; a process remembers for some seconds which one it is."""

    def send(body: Any, kind: str = "alertmanager", *, status: int = 202, **values: Any) -> dict[str, Any]:
        with source.begin() as session:
            for field, value in {"kind": kind, **values}.items():
                setattr(session.get_one(Source, SOURCE), field, value)
        path = {"generic": "/alerts/generic", "cloudevents": "/alerts/cloudevents"}.get(kind, "/alerts")
        answer = client.post(path, json=body, headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == status, answer.text
        assert answer.json is not None
        return dict(answer.json)

    return send


def incidents(database: Database, *, all_of_them: bool = False) -> list[Incident]:
    query = select(Incident).order_by(Incident.number)
    with database.begin() as session:
        found = session.scalars(query if all_of_them else query.where(Incident.status != "resolved")).all()
        session.expunge_all()
    return list(found)


def load(database: Database, *services: str, **settings: Any) -> None:
    """Activate a policy with these services, each of which IMS may heal."""
    known = {name: Service(name=name, service_recovery="ims", instances=()) for name in services}
    policy = Policy.from_stored({"inventory": "inventory", "services": {}, **settings}).model_copy(
        update={"services": known}
    )
    # A process remembers what it has read by these.
    digest, now = secrets.token_hex(32), utc_now()
    with database.begin() as session:
        session.add(
            PolicySnapshot(
                digest=digest, inventory="inventory", policy=policy.model_dump(mode="json", by_alias=True),
                archive=b"", created_at=now,
            )
        )  # fmt: skip
        session.flush()
        session.add(PolicyActivation(digest=digest, actor="test", activated_at=now))


def alert(labels: dict[str, str], *, is_over: bool = False, **fields: Any) -> dict[str, Any]:
    return {
        "status": "resolved" if is_over else "firing",
        "labels": labels,
        "annotations": {},
        "startsAt": "2026-02-27T23:30:00Z",
        "endsAt": "2026-02-27T23:58:00Z" if is_over else ZERO_TIME,
        "generatorURL": "",
        **fields,
    }


def body(*alerts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"version": "4", "receiver": "ims", "status": "firing", "groupLabels": {}, "alerts": list(alerts), **fields}


def without_data(rule: str, summary: str, fingerprint: str, **fields: Any) -> dict[str, Any]:
    labels = {"alertname": "DatasourceNoData", "grafana_folder": "Ops", "ref_id": "A", "rulename": rule}
    return alert(labels, annotations={"summary": summary} if summary else {}, fingerprint=fingerprint, **fields)


@pytest.mark.parametrize("name", ["DatasourceNoData", "DatasourceError"])
@pytest.mark.parametrize("summaries", [("Backup failed", "Payments fail"), ("", "")])
@pytest.mark.parametrize("kind", ["grafana", "alertmanager"])
def test_two_rules_without_data_are_two_incidents(
    send: Send, source: Database, name: str, summaries: tuple[str, str], kind: str
) -> None:
    first, second = (
        without_data(rule, summary, fingerprint)
        for rule, summary, fingerprint in zip(("Backup", "Payments"), summaries, ("a1", "a2"), strict=True)
    )
    first["labels"]["alertname"] = second["labels"]["alertname"] = name
    send(body(first, second, groupLabels={"alertname": name}), kind)
    titles = summaries if summaries[0] else (f"Backup: {name}", f"Payments: {name}")
    assert [one.title for one in incidents(source)] == list(titles)
    send(body({**first, "status": "resolved", "endsAt": "2026-02-27T23:58:00Z"}), kind)
    assert [one.title for one in incidents(source)] == [titles[1]]


def test_grafana_s_rules_of_one_name_are_told_apart_by_their_uid(send: Send, source: Database) -> None:
    at = "http://grafana.example/alerting/grafana/{}/view?orgId=1".format
    labels = {"alertname": "QueueTooLong"}
    send(body(*(alert(labels | {"q": uid}, generatorURL=at(uid)) for uid in ("abc", "def"))), "grafana")
    assert len(incidents(source)) == 2


def test_alerts_without_a_name_are_told_apart(send: Send, source: Database) -> None:
    send(
        body(
            alert({"check": "raid", "host": "store-1"}, annotations={"summary": "A disk of store-1 failed"}),
            alert({"check": "certificate", "host": "shop.example"}),
        )
    )
    assert [one.title for one in incidents(source)] == [
        "A disk of store-1 failed", "check=certificate, host=shop.example",
    ]  # fmt: skip


def test_alerts_without_labels_are_told_apart_or_put_aside(send: Send, source: Database) -> None:
    of_nothing = "cbf29ce484222325"
    one, other = (alert({}, annotations={"summary": summary}, fingerprint=of_nothing) for summary in "ab")
    answer = send(body(one, other, alert({})))
    assert [one["result"] for one in answer["alerts"]] == ["opened", "opened", "rejected"]
    assert answer["alerts"][2]["message"].startswith("labels: nothing tells this alert from another one")
    assert [incident.title for incident in incidents(source)] == ["a", "b"]
    answer = send(body({**one, "status": "resolved"}))
    assert answer["alerts"][0]["result"] == "closed"


@pytest.mark.parametrize(
    "scraped",
    [
        {"job": "kube-state-metrics", "endpoint": "https-main"},
        {"job": "kubernetes-service-endpoints", "node": "n1"},
        {"job": "kube-state-metrics"},
    ],
)
def test_crash_loops_of_two_namespaces_are_two_incidents_of_no_exporter(
    send: Send, source: Database, scraped: dict[str, str]
) -> None:
    load(source, "kube-state-metrics")
    labels = {
        "alertname": "KubePodCrashLooping", "service": "kube-state-metrics", "severity": "warning",
        "instance": "10.1.2.3:8443", **scraped,
    }  # fmt: skip
    pods = (("shop", "web-1"), ("billing", "db-0"))
    alerts = [alert({**labels, "namespace": where, "pod": pod}) for where, pod in pods]
    send(body(*alerts, groupLabels={"severity": "warning"}))
    assert [(one.service, one.labels["namespace"]) for one in incidents(source)] == [(None, "shop"), (None, "billing")]


def test_two_environments_are_two_incidents(send: Send, source: Database) -> None:
    send(body(*(alert({"alertname": "QueueTooLong", "environment": where}) for where in ("production", "staging"))))
    assert [one.environment for one in incidents(source)] == ["production", "staging"]


def test_what_the_sender_groups_apart_stays_apart(send: Send, source: Database) -> None:
    for queue in ("orders", "mails"):
        labels = {"alertname": "QueueTooLong", "queue": queue}
        send(body(*(alert(labels | {"shard": shard}) for shard in "12"), groupLabels=labels))
    assert [one.labels["queue"] for one in incidents(source)] == ["orders", "mails"]


def test_the_name_of_opentelemetry_places_an_alert(send: Send, source: Database) -> None:
    load(source, "shop")
    labels = {"alertname": "HighErrorRate", "service.name": "shop", "host.name": "node-1", "température": "haut"}
    answer = send(body(alert(labels)))
    assert answer["accepted"] == 1
    assert [(one.service, one.labels) for one in incidents(source)] == [("shop", labels)]
    with source.begin() as session:
        assert session.scalar(text("SELECT labels FROM alert")) == labels


KUMA: dict[str, Any] = {
    "heartbeat": {"monitorID": 3, "status": 0, "time": "2026-02-27 23:33:00.123", "msg": "connect ECONNREFUSED"},
    "monitor": {"id": 3, "name": "shop", "url": "http://shop.example/", "type": "http"},
    "msg": "[shop] [Down] connect ECONNREFUSED",
}


def test_uptime_kuma_is_read_by_its_format(send: Send, source: Database) -> None:
    load(source, "shop")
    assert send(KUMA, "generic", format="uptime-kuma")["alerts"][0]["result"] == "opened"
    assert [(one.title, one.service) for one in incidents(source)] == [(KUMA["msg"], "shop")]
    up = {**KUMA, "heartbeat": {**KUMA["heartbeat"], "status": 1}, "msg": "[shop] [Up] 200 - OK"}
    assert send(up, "generic", format="uptime-kuma")["alerts"][0]["result"] == "closed"
    answer = send({"heartbeat": None, "monitor": None, "msg": "Testing"}, "generic", format="uptime-kuma")
    assert (answer["accepted"], answer["ignored"], answer["alerts"][0]["result"]) == (0, 1, "ignored")
    assert incidents(source) == []


def test_without_a_format_the_answer_to_uptime_kuma_names_it_and_the_body_is_kept(send: Send, source: Database) -> None:
    answer = send(KUMA, "generic", status=422)
    assert answer["type"] == "urn:ims:problem:nothing-readable"
    assert "--format uptime-kuma" in answer["errors"][0]["message"]
    with source.begin() as session:
        assert session.scalars(text("SELECT reason FROM dead_letter")).all() == ["other_format"]


def test_some_of_a_body_is_enough_for_success(send: Send) -> None:
    answer = send([KUMA, {"message": "x"}], "generic")
    assert (answer["accepted"], answer["rejected"]) == (1, 1)


def test_a_state_that_says_ok_resolves(send: Send, source: Database) -> None:
    same = {"host": "edge-5", "title": "monit", "alert_uid": "1-2"}
    send({**same, "state": "alerting", "message": "No report for 164 seconds"}, "generic")
    assert [one.title for one in incidents(source)] == ["No report for 164 seconds"]
    send({**same, "state": "ok", "message": "Status report received successfully"}, "generic")
    assert [one.status for one in incidents(source, all_of_them=True)] == ["resolved"]
    answer = send({**same, "state": "ok", "message": "Status report received successfully"}, "generic")
    assert answer["alerts"][0]["message"] == "Nothing of this fingerprint is open."


def test_what_was_not_used_is_named(send: Send, source: Database) -> None:
    body = {"alias": "disk-db-2", "priority": "P1", "tags": ["db"], "details": {"host": "db-2"}, "entity": "db-2"}
    answers = [send({**body, "message": f"Disk {percent} % full"}, "generic") for percent in (91, 92)]
    assert [one["alerts"][0]["result"] for one in answers] == ["opened", "duplicate"]
    assert sorted(answers[0]["alerts"][0]["unused"]) == ["details", "tags"]
    assert [one.severity for one in incidents(source)] == ["critical"]


@pytest.mark.parametrize(("kind", "opened"), [("Normal", 0), ("Warning", 1)])
def test_kubernetes_events_open_something_if_they_warn(send: Send, source: Database, kind: str, opened: int) -> None:
    about = {"kind": "Pod", "name": "web-1", "namespace": "default"}
    data = {"apiVersion": "v1", "kind": "Event", "type": kind, "reason": "r", "message": "m", "involvedObject": about}
    event = {"specversion": "1.0", "id": "e-1", "source": "https://k.example", "type": "dev.knative.add", "data": data}
    answer = send(event, "cloudevents")
    assert (answer["accepted"], answer["ignored"]) == (opened, 1 - opened)
    assert len(incidents(source)) == opened


def test_a_format_of_the_policy_reads_and_its_absence_is_ours(send: Send, source: Database) -> None:
    load(source, "shop", alert_formats=[{"name": "own", "message": "text", "service": "where"}])
    assert send({"text": "Slow", "where": "shop"}, "generic", format="own")["accepted"] == 1
    assert [(one.title, one.service) for one in incidents(source)] == [("Slow", "shop")]


def test_a_body_that_a_format_of_the_policy_cannot_compare_is_a_dead_letter(send: Send, source: Database) -> None:
    load(
        source, "shop", alert_formats=[{"name": "own", "message": "text", "severity": "level > `3` && 'high' || 'low'"}]
    )
    answer = send({"text": "Slow", "level": "4"}, "generic", format="own", status=422)
    assert "level > `3`" in answer["errors"][0]["message"]
    with source.begin() as session:
        assert session.scalar(select(func.count()).select_from(DeadLetter)) == 1


def test_a_format_that_the_policy_has_no_more_is_answered_503(send: Send) -> None:
    answer = send({"text": "Slow"}, "generic", format="gone", status=503)
    assert "alert_formats" in answer["detail"]


def seconds_from_now(seconds: float) -> str:
    return (utc_now() + timedelta(seconds=seconds)).isoformat()


def warnings(database: Database) -> list[str]:
    with database.begin() as session:
        return warnings_of(session.get_one(Source, SOURCE), utc_now())


@pytest.mark.parametrize(
    ("began", "ended"),
    [(3600, 5), (3540, 10), (240, 5), (3600, None), (-20_000, -23_600)],
    ids=["an hour ahead", "written apart", "four minutes", "without an end", "sent much later"],
)
def test_a_resolve_ends_the_alert_whatever_the_clocks_say(
    send: Send, source: Database, began: float, ended: float | None
) -> None:
    door = {"name": "DoorOpen", "fingerprint": "door-1"}
    send({**door, "message": "The door is open", "timestamp": seconds_from_now(began)}, "generic")
    shut = {**door, "message": "The door is shut", "status": "resolved"}
    answer = send(shut if ended is None else {**shut, "timestamp": seconds_from_now(ended)}, "generic")
    assert answer["alerts"][0]["result"] == "closed"
    assert incidents(source) == []
    (warning,) = warnings(source)
    assert warning.startswith("Its clock is ")


def test_a_resolve_that_names_the_open_alert_s_own_start_is_not_late(send: Send, source: Database) -> None:
    one = alert({"alertname": "A"}, startsAt=seconds_from_now(3600))
    send(body(one))
    answer = send(body({**one, "status": "resolved", "endsAt": seconds_from_now(1)}))
    assert answer["alerts"][0]["result"] == "closed"


def test_a_clock_that_is_set_right_while_an_alert_fires_leaves_nothing_open(send: Send, source: Database) -> None:
    send(body(alert({"alertname": "A"}, startsAt=seconds_from_now(3600))))
    start = seconds_from_now(-1)
    send(body(alert({"alertname": "A"}, startsAt=start)))
    over = alert({"alertname": "A"}, startsAt=start, endsAt=seconds_from_now(0))
    assert send(body({**over, "status": "resolved"}))["alerts"][0]["result"] == "closed"


def test_clocks_that_agree_are_not_reported(send: Send, source: Database) -> None:
    one = alert({"alertname": "A"}, startsAt=seconds_from_now(-600))
    send(body(one))
    send(body({**one, "status": "resolved", "endsAt": seconds_from_now(20)}))
    assert warnings(source) == []


@pytest.mark.parametrize(
    ("reason", "status", "said"),
    [
        ("Paused", "open", "its rule was paused"),
        ("RuleDeleted", "open", "its rule was deleted"),
        ("Updated", "open", "its rule was changed"),
        ("MissingSeries", "resolved", "its series is gone"),
        ("", "resolved", "is resolved"),
    ],
)
def test_a_paused_rule_is_no_recovery(send: Send, source: Database, reason: str, status: str, said: str) -> None:
    one = alert({"alertname": "QueueTooLong", "queue": "orders"}, annotations={"summary": "The queue is long"})
    send(body(one), "grafana")
    over = {**one, "status": "resolved", "endsAt": "2026-02-27T23:36:00Z"}
    annotations = {"summary": "The queue is long"} | ({"grafana_state_reason": reason} if reason else {})
    assert send(body({**over, "annotations": annotations}), "grafana")["alerts"][0]["result"] == "closed"
    assert [one.status for one in incidents(source, all_of_them=True)] == [status]
    with source.begin() as session:
        event = session.scalars(select(TimelineEvent).where(TimelineEvent.kind == "alert_resolved")).one()
        assert said in sentence_of(event).text


def test_a_rule_that_goes_on_after_its_pause_resolves_its_incident(send: Send, source: Database) -> None:
    one = alert({"alertname": "A"})
    over = {**one, "status": "resolved", "endsAt": "2026-02-27T23:36:00Z"}
    send(body(one), "grafana")
    send(body({**over, "annotations": {"grafana_state_reason": "Paused"}}), "grafana")
    send(body({**one, "startsAt": "2026-02-27T23:40:00Z"}), "grafana")
    send(body({**over, "startsAt": "2026-02-27T23:40:00Z", "endsAt": "2026-02-27T23:50:00Z"}), "grafana")
    assert [one.status for one in incidents(source, all_of_them=True)] == ["resolved"]


def fetch_all(database: Database) -> None:
    """What the worker's job does with each notification that was cut, of a source without an address."""
    with database.begin() as session:
        for args in session.scalars(text("SELECT args FROM procrastinate_jobs WHERE task_name = 'fetch_truncated'")):
            record_truncated(session, args["source"], args["alerts"], args["fingerprints"], utc_now())
        session.execute(text("DELETE FROM procrastinate_jobs WHERE task_name = 'fetch_truncated'"))


def test_what_was_cut_and_cannot_be_asked_for_is_a_number_everywhere(send: Send, source: Database) -> None:
    counted = REGISTRY.get_sample_value("alerts_truncated_total") or 0.0
    one, other = alert({"alertname": "DiskFull"}), alert({"alertname": "Other"})
    send(body(other), "grafana")
    assert send(body(one, truncatedAlerts=7), "grafana")["truncated"] == 7
    assert (REGISTRY.get_sample_value("alerts_truncated_total") or 0.0) - counted == 7
    fetch_all(source)
    assert warnings(source) == [
        "7 alerts were left out of a notification, and it has no Alertmanager to fetch them from"
    ]
    send(body(one, truncatedAlerts=7), "grafana")
    fetch_all(source)
    send(body(one, truncatedAlerts=9), "grafana")
    fetch_all(source)
    with source.begin() as session:
        events = session.scalars(
            select(TimelineEvent).where(TimelineEvent.kind == "alerts_truncated").order_by(TimelineEvent.seq)
        ).all()
        assert len({event.incident_id for event in events}) == 1
        assert [sentence_of(event).text for event in events] == [
            f"{SOURCE} left out {number} more alerts, and has no Alertmanager to fetch them from" for number in (7, 9)
        ]
