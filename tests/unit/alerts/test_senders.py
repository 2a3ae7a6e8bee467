"""Generic alerts, CloudEvents and Grafana's alerts become notifications, and never raise."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims.alerts.notifications import AlertNotification, Ignored, NotificationStatus, Rejected, RejectReason
from ims.alerts.parsers.cloudevents import NotCloudevents, parse_cloudevents, read_event
from ims.alerts.parsers.each import MOST_ALERTS
from ims.alerts.parsers.generic import NotGeneric, parse_generic, read_generic
from ims.alerts.parsers.grafana import read_grafana
from ims.core.errors import TooLarge
from tests.support.notifications import NOW, SOURCE, alertmanager_alert, at, cloudevent, generic_alert
from tests.unit.alerts.test_notifications import json_values

KEYS = st.sampled_from(
    ["message", "name", "service", "severity", "labels", "annotations", "timestamp", "status", "fingerprint", "data",
     "dedup_key", "url", "specversion", "id", "source", "type", "time", "environment"]
)  # fmt: skip


def generic(**changes: Any) -> AlertNotification:
    read = read_generic({**generic_alert(), **changes}, SOURCE, NOW)
    assert isinstance(read, AlertNotification)
    return read


def event(**changes: Any) -> AlertNotification | Rejected | Ignored:
    return read_event({**cloudevent(), **changes}, SOURCE, NOW)


def test_a_generic_alert_says_what_alertmanager_would() -> None:
    read = generic()
    assert read.labels == {
        "alertname": "The queue is long", "service": "checkout", "severity": "high", "queue": "orders"
    }  # fmt: skip
    assert (read.name, read.status, read.starts_at) == ("The queue is long", NotificationStatus.FIRING, at(-10))
    assert read.annotations == {"summary": "The queue is long"}


def test_the_same_generic_alert_is_known_again_whenever_it_was_seen() -> None:
    assert generic().fingerprint == generic(timestamp="2026-03-01T11:59:59+00:00", status="resolved").fingerprint
    assert generic().fingerprint != generic(labels={"queue": "returns"}).fingerprint
    assert generic(fingerprint="orders").fingerprint == generic(dedup_key="orders", message="Other").fingerprint


def test_a_name_outlives_a_message_that_changes() -> None:
    assert generic(name="Queue").fingerprint == generic(name="Queue", message="The queue is longer").fingerprint


def test_a_resolved_generic_alert_tells_when_it_ended() -> None:
    read = generic(status="resolved")
    assert (read.status, read.starts_at, read.ends_at) == (NotificationStatus.RESOLVED, None, at(-10))


def test_only_a_message_is_needed() -> None:
    read = read_generic({"message": "Help", "labels": None, "severity": None, "more": [1]}, SOURCE, NOW)
    assert isinstance(read, AlertNotification)
    assert read.labels == {"alertname": "Help"}


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "2126-03-01T12:00:00Z"])
def test_an_absurd_time_is_taken_as_not_given(time: str) -> None:
    assert generic(timestamp=time).starts_at is None


@pytest.mark.parametrize(
    ("changes", "reason", "named"),
    [
        ({"message": None}, RejectReason.WRONG_FIELD, "message: "),
        ({"message": " "}, RejectReason.WRONG_FIELD, "message: must not be empty"),
        ({"labels": {"port": 80}}, RejectReason.WRONG_LABELS, "labels.port: "),
        ({"labels": {str(n): "" for n in range(300)}}, RejectReason.WRONG_LABELS, "labels: at most"),
        ({"status": "on"}, RejectReason.WRONG_STATUS, "status: "),
        ({"timestamp": "yesterday"}, RejectReason.WRONG_FIELD, "timestamp: write RFC 3339"),
        ({"timestamp": 1772366400}, RejectReason.WRONG_FIELD, "timestamp: "),
        ({"dedup_key": 7}, RejectReason.WRONG_FINGERPRINT, ": "),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], reason: RejectReason, named: str) -> None:
    read = read_generic({**generic_alert(), **changes}, SOURCE, NOW)
    assert isinstance(read, Rejected)
    assert read.reason is reason
    assert named in read.message


def test_all_wrong_fields_are_named_at_once() -> None:
    read = read_generic({"service": 1, "severity": 2}, SOURCE, NOW)
    assert isinstance(read, Rejected)
    assert all(f"{field}: " in read.message for field in ("message", "service", "severity"))


def test_one_generic_alert_or_a_list_is_read() -> None:
    assert parse_generic(generic_alert(), SOURCE, NOW).places == (0,)
    parsed = parse_generic([7, generic_alert()], SOURCE, NOW)
    assert (parsed.places, parsed.rejected[0].place) == ((1,), 0)
    with pytest.raises(TooLarge):
        parse_generic([0] * (MOST_ALERTS + 1), SOURCE, NOW)


def test_an_event_holds_a_generic_alert() -> None:
    read = event()
    assert isinstance(read, AlertNotification)
    assert read.labels["event_source"] == "/shop/queues"
    assert (read.annotations["event_id"], read.annotations["event_type"]) == ("A-1", "example.queue.long")
    assert read.starts_at == at(-20)


def test_an_event_sent_again_is_the_same_alert_and_another_producers_is_not() -> None:
    given = [event(), event(id="A-2"), event(source="/other")]
    first, again, other = (one.fingerprint for one in given if isinstance(one, AlertNotification))
    assert first == again != other


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"specversion": "0.3"}, "specversion: "),
        ({"id": ""}, "id: "),
        ({"source": None}, "source: "),
        ({"type": 1}, "type: "),
        ({"data": "text"}, "data: "),
        ({"data": {"message": 1}}, "data: message: "),
        ({"data": {"message": "a", "labels": 1}}, "data: labels: "),
    ],
)
def test_a_wrong_attribute_is_named(changes: dict[str, Any], named: str) -> None:
    read = event(**changes)
    assert isinstance(read, Rejected)
    assert named in read.message
    assert '"specversion"' in read.body


def test_what_grafana_adds_is_kept_beside_the_alert() -> None:
    link = "https://grafana.example/d/a?viewPanel=1"
    read = read_grafana({**alertmanager_alert(), "panelURL": link, "imageURL": 7, "values": {"A": 1}}, SOURCE, NOW)
    assert isinstance(read, AlertNotification)
    assert read.annotations == {"panelURL": link, "summary": "checkout is down", "valueString": "A=1"}
    assert isinstance(read_grafana([], SOURCE, NOW), Rejected)


@given(json_values | st.dictionaries(KEYS, json_values))
def test_any_json_is_a_notification_or_rejected(said: Any) -> None:
    for read in (read_generic, read_event, read_grafana):
        assert isinstance(read(said, SOURCE, NOW, None), AlertNotification | Rejected)
    assert isinstance(read_event({**cloudevent(), "data": said}, SOURCE, NOW), AlertNotification | Rejected)


@pytest.mark.parametrize("body", [None, 1, "text", True])
def test_a_body_of_another_shape_is_refused_as_a_whole(body: Any) -> None:
    with pytest.raises(NotGeneric):
        parse_generic(body, SOURCE, NOW)
    with pytest.raises(NotCloudevents):
        parse_cloudevents(body, SOURCE, NOW)
