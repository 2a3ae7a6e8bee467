"""What well-known senders write is read by a ready format: it fires, it is over, or it is no alert."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims.alerts.notifications import AlertNotification, Ignored, NotificationStatus, Rejected, RejectReason
from ims.alerts.parsers.cloudevents import read_event
from ims.alerts.parsers.generic import read_fields, read_generic
from ims.alerts.parsers.mapped import parse_mapped, read_mapped
from ims.core.severity import Severity
from ims.policy.alert_formats import AlertFormat
from ims.policy.ready_formats import READY_FORMATS
from ims.policy.schema import Correlation
from tests.support.notifications import NOW, SOURCE, alertmanager_body, cloudevent, grafana_body
from tests.unit.alerts.test_notifications import json_values

Read = AlertNotification | Rejected | Ignored

MONITOR = {"id": 3, "name": "shop", "url": "http://shop.example/", "type": "http", "interval": 60, "tags": []}


def kuma(status: int, message: str) -> dict[str, Any]:
    sign = {"monitorID": 3, "status": status, "time": "2026-03-01 11:59:50.123", "msg": message, "important": True}
    return {"heartbeat": sign, "monitor": MONITOR, "msg": f"[shop] {message}"}


def healthchecks(status: str) -> dict[str, Any]:
    return {
        "name": "Backup of the mails", "slug": "backup", "tags": "prod mail", "desc": "", "grace": 60, "n_pings": 7,
        "status": status, "last_ping": "2026-03-01T11:00:00+00:00", "unique_key": "a6c7b0a8", "timeout": 3600,
    }  # fmt: skip


def zabbix(value: str, update: str = "0") -> dict[str, Any]:
    return {
        "event_id": "1207", "event_name": "Disk is full on db-2", "event_value": value, "event_update_status": update,
        "event_severity": "Disaster", "event_opdata": "97 %", "host": "db-2", "trigger_id": "99",
    }  # fmt: skip


def opsgenie(action: str) -> dict[str, Any]:
    alert = {
        "alertId": "052652ac", "message": "Disk full", "tags": ["db"], "alias": "disk-db-2", "entity": "db-2",
        "priority": "P1", "description": "97 %", "details": {"disk": "sda", "free": 3},
    }  # fmt: skip
    return {"action": action, "alert": alert, "integrationName": "ims", "source": {"name": "", "type": "API"}}


def pagerduty(action: str, **payload: Any) -> dict[str, Any]:
    said = {"summary": "Disk full", "source": "db-2", "severity": "critical", "class": "DiskFull", **payload}
    body = {"routing_key": "r", "event_action": action, "dedup_key": "disk-db-2"}
    return body if action == "resolve" else {**body, "payload": {**said, "timestamp": "2026-03-01T11:59:50Z"}}


def sensu(status: int) -> dict[str, Any]:
    check = {"metadata": {"name": "disk", "namespace": "default"}, "status": status, "output": "97 % used\n"}
    return {"timestamp": 1772366390, "entity": {"metadata": {"name": "db-2", "namespace": "default"}}, "check": check}


def nagios(kind: str, state: str) -> dict[str, Any]:
    return {
        "type": kind,
        "host": "db-2",
        "service": "Disk",
        "state": state,
        "output": "97 % used",
        "time": "1772366390",
    }


def kubernetes(kind: str, **changes: Any) -> dict[str, Any]:
    about = {"kind": "Pod", "name": "web-1", "namespace": "shop"}
    return {
        "apiVersion": "v1", "kind": "Event", "type": kind, "reason": "BackOff", "message": "Back-off restarting",
        "involvedObject": about, **changes,
    }  # fmt: skip


SENDERS: dict[str, tuple[Any, Any, list[Any], str]] = {
    "uptime-kuma": (
        kuma(0, "[Down] connect ECONNREFUSED"), kuma(1, "[Up] 200 - OK"),
        [kuma(2, "pending"), kuma(3, "maintenance"), {"heartbeat": None, "monitor": None, "msg": "Kuma Testing"}],
        "high",
    ),
    "healthchecks": (healthchecks("down"), healthchecks("up"), [healthchecks("paused"), healthchecks("new")], "high"),
    "zabbix": (zabbix("1"), zabbix("0"), [zabbix("1", "1")], "critical"),
    "opsgenie": (opsgenie("Create"), opsgenie("Close"), [opsgenie("Acknowledge"), opsgenie("AddNote")], "critical"),
    "pagerduty": (pagerduty("trigger"), pagerduty("resolve"), [pagerduty("acknowledge")], "critical"),
    "sensu": (sensu(2), sensu(0), [{"entity": {"metadata": {"name": "db-2"}}, "metrics": {}}], "critical"),
    "nagios": (
        nagios("PROBLEM", "CRITICAL"), nagios("RECOVERY", "OK"),
        [nagios("ACKNOWLEDGEMENT", "CRITICAL"), nagios("DOWNTIMESTART", "OK")], "critical",
    ),
    "icinga": (nagios("Problem", "Warning"), nagios("Recovery", "OK"), [nagios("FlappingStart", "Warning")], "medium"),
}  # fmt: skip


def by(name: str, body: Any) -> Read:
    return read_mapped(READY_FORMATS[name], read_fields, body, SOURCE, NOW)


def status_of(read: Read) -> str:
    return read.status.value if isinstance(read, AlertNotification) else type(read).__name__.lower()


@pytest.mark.parametrize("name", SENDERS)
def test_it_fires_resolves_or_is_ignored(name: str) -> None:
    firing, over, others, severity = SENDERS[name]
    first, last = by(name, firing), by(name, over)
    assert isinstance(first, AlertNotification)
    assert isinstance(last, AlertNotification)
    assert (first.status, last.status) == (NotificationStatus.FIRING, NotificationStatus.RESOLVED)
    assert first.fingerprint == last.fingerprint
    assert Correlation().severity_of(first.labels["severity"]) == Severity(severity)
    assert [status_of(by(name, other)) for other in others] == ["ignored"] * len(others)


def test_every_ready_format_is_tried() -> None:
    assert {*SENDERS, "kubernetes-event"} == READY_FORMATS.keys()


def test_uptime_kuma_s_monitor_names_the_service_and_its_certificate_is_an_alert() -> None:
    read = by("uptime-kuma", kuma(0, "[Down]"))
    assert isinstance(read, AlertNotification)
    assert (read.labels["service"], read.annotations["summary"]) == ("shop", "[shop] [Down]")
    assert read.starts_at is not None
    ends = "[shop][https://shop.example] server certificate shop.example will be expired in 7 days"
    assert status_of(by("uptime-kuma", {"heartbeat": None, "monitor": None, "msg": ends})) == "firing"


def test_what_was_written_for_opsgenie_s_api_is_read_too() -> None:
    read = by(
        "opsgenie", {"message": "Disk full", "alias": "d", "priority": "P3", "details": {"a": "b"}, "tags": ["x"]}
    )
    assert isinstance(read, AlertNotification)
    assert (read.fingerprint, read.labels["severity"], read.annotations["a"]) == ("d", "P3", "b")


def test_sensu_core_has_a_client_and_times_are_seconds() -> None:
    read = by(
        "sensu",
        {"client": {"name": "db-2"}, "check": {"name": "disk", "status": 1, "output": "x"}, "timestamp": 1772366390},
    )
    assert isinstance(read, AlertNotification)
    assert (read.labels["instance"], read.labels["severity"]) == ("db-2", "warning")
    assert read.starts_at is not None
    assert (NOW - read.starts_at).total_seconds() == 10


@pytest.mark.parametrize("name", [*SENDERS])
def test_a_body_of_somebody_else_is_no_success(name: str) -> None:
    assert not isinstance(by(name, {"hello": "world"}), AlertNotification)
    assert not isinstance(by(name, 7), AlertNotification)


@pytest.mark.parametrize("name", [name for name in SENDERS if name not in ("nagios", "icinga")])
def test_without_its_format_a_well_known_body_is_refused_by_naming_it(name: str) -> None:
    for body in SENDERS[name][:2]:
        read = read_generic(body, SOURCE, NOW)
        assert isinstance(read, Rejected)
        assert read.reason is RejectReason.OTHER_FORMAT
        assert f"--format {name}" in read.message


@pytest.mark.parametrize("body", [alertmanager_body({}), grafana_body({})])
def test_alertmanager_s_body_is_sent_to_its_own_path(body: Any) -> None:
    read = read_generic({**body, "message": "**Firing**", "state": "alerting"}, SOURCE, NOW)
    assert isinstance(read, Rejected)
    assert "/alerts" in read.message


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (kubernetes("Normal"), "ignored"),
        (kubernetes("Warning"), "firing"),
        (kubernetes("Warning", message=None, note="x", apiVersion="events.k8s.io/v1"), "firing"),
    ],
)
def test_a_kubernetes_event_is_an_alert_if_it_warns(body: dict[str, Any], status: str) -> None:
    assert status_of(read_generic(body, SOURCE, NOW)) == status
    assert status_of(read_event(cloudevent(data=body), SOURCE, NOW)) == status
    deleted = cloudevent(data=body, type="dev.knative.apiserver.resource.delete")
    assert status_of(read_event(deleted, SOURCE, NOW)) == "ignored"


def test_kubernetes_events_of_two_clusters_are_two_alerts() -> None:
    one, other = (read_event(cloudevent(data=kubernetes("Warning"), source=where), SOURCE, NOW) for where in "ab")
    assert isinstance(one, AlertNotification)
    assert isinstance(other, AlertNotification)
    assert one.fingerprint != other.fingerprint
    assert (one.labels["namespace"], one.labels["event_source"]) == ("shop", "a")


OWN = AlertFormat(
    name="own", alerts="items", message="text", status="flag", statuses={"true": "firing", "false": "resolved"},
    severity="prio", severities={"a": "critical"}, labels={"queue.name": "q"}, all_annotations="more",
)  # fmt: skip


def test_a_format_of_the_policy_takes_a_list_apart() -> None:
    items = [{"text": "x", "flag": True, "prio": "A", "q": 7, "more": {"n": 1}}, {"text": "x", "flag": False}, {}]
    parsed = parse_mapped(OWN, read_fields, {"items": items}, SOURCE, NOW)
    firing, over = parsed.notifications
    assert (firing.labels["severity"], firing.labels["queue.name"], firing.annotations["n"]) == ("critical", "7", "1")
    assert over.status is NotificationStatus.RESOLVED
    assert "finds no status" in parsed.rejected[0].message


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("level > `3` && 'high' || 'low'", "4"),
        ("contains(level, tags)", "4"),
        ("to_string(ceil(level))", float("inf")),
        ("to_string(ceil(level))", float("nan")),
    ],
)
def test_a_comparison_that_does_not_fit_the_body_is_a_dead_letter(expression: str, value: object) -> None:
    """The library raises errors of Python for these, not its own."""
    own = AlertFormat(name="own", message="text", severity=expression)
    read = read_mapped(own, read_fields, {"text": "Slow", "level": value, "tags": [1]}, SOURCE, NOW)
    assert isinstance(read, Rejected)
    assert read.reason is RejectReason.OTHER_FORMAT
    assert read.message.startswith(f"Format own: {expression}: ")


def test_a_function_that_does_not_fit_is_reported() -> None:
    read = read_mapped(AlertFormat(name="x", message="sort(text)"), read_fields, {"text": "a"}, SOURCE, NOW)
    assert isinstance(read, Rejected)
    assert "sort(text)" in read.message


@pytest.mark.parametrize("name", READY_FORMATS)
@given(body=json_values)
def test_nothing_that_is_sent_raises(name: str, body: Any) -> None:
    by(name, body)


@pytest.mark.parametrize("name", SENDERS)
@given(data=st.data(), junk=json_values)
def test_no_part_of_a_genuine_body_that_turns_to_junk_raises(name: str, data: st.DataObject, junk: Any) -> None:
    body = json.loads(json.dumps(SENDERS[name][0]))
    inner = data.draw(st.sampled_from([body, *(value for value in body.values() if isinstance(value, dict))]))
    inner[data.draw(st.sampled_from(sorted(inner)))] = junk
    by(name, body)
    read_generic(body, SOURCE, NOW)
