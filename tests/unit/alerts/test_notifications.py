"""What a sender says is made safe and uniform, and never raises."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims.alerts.notifications import (
    BODY_LENGTH,
    FINGERPRINT_LENGTH,
    LABEL_NAME_LENGTH,
    NAME_LENGTH,
    VALUE_LENGTH,
    AlertNotification,
    NotificationStatus,
    Rejected,
    RejectReason,
    clean,
    labels_fingerprint,
    read_alert,
    read_time,
    reject,
)
from tests.support.notifications import NOW, SOURCE, alertmanager_alert


def read(**changes: Any) -> AlertNotification | Rejected:
    return read_alert({**alertmanager_alert(), **changes}, SOURCE, NOW)


def accepted(**changes: Any) -> AlertNotification:
    found = read(**changes)
    assert isinstance(found, AlertNotification)
    return found


def test_an_alert_of_alertmanager_is_read_as_it_is() -> None:
    found = accepted()
    assert (found.name, found.status, found.source) == ("ServiceDown", NotificationStatus.FIRING, SOURCE)
    assert found.starts_at == datetime(2026, 3, 1, 11, 59, 50, 123456, tzinfo=UTC)
    assert found.ends_at is None
    assert found.fingerprint == alertmanager_alert()["fingerprint"]


def test_unknown_keys_are_accepted() -> None:
    assert accepted(notification_reason="firing", anything={"deep": [1, {"er": None}]})


def test_the_end_counts_only_when_resolved() -> None:
    ended = "2026-03-01T12:00:00Z"
    assert accepted(endsAt=ended).ends_at is None
    assert accepted(status="resolved", endsAt=ended).ends_at == NOW
    assert accepted(status="resolved").ends_at is None


# The first two are Alertmanager's own values: model/signature_test.go of prometheus/common.
@pytest.mark.parametrize(
    ("labels", "fingerprint"),
    [
        ({"name": "garland, briggs", "fear": "love is not enough"}, f"{5799056148416392346:016x}"),
    ],
)
def test_a_missing_fingerprint_is_the_one_alertmanager_would_have_given(
    labels: dict[str, str], fingerprint: str
) -> None:
    assert labels_fingerprint(labels) == fingerprint
    alert = alertmanager_alert()
    del alert["fingerprint"]
    found = read_alert({**alert, "labels": labels}, SOURCE, NOW)
    assert isinstance(found, AlertNotification)
    assert found.fingerprint == fingerprint


def test_a_long_fingerprint_is_hashed_for_cutting_it_could_join_two_alerts() -> None:
    long = "f" * (FINGERPRINT_LENGTH + 1)
    one, other = accepted(fingerprint=long + "1"), accepted(fingerprint=long + "2")
    assert one.fingerprint != other.fingerprint
    assert len(one.fingerprint) <= FINGERPRINT_LENGTH


def test_what_postgresql_cannot_hold_is_replaced() -> None:
    assert clean("a\x00b\ud800c\udfff") == "a\ufffdb\ufffdc\ufffd"
    found = accepted(labels={"alertname": "a\x00", "k\x00": "\ud800"}, fingerprint="f\x00", generatorURL="\x00")
    assert (found.name, found.labels["k\ufffd"]) == ("a\ufffd", "\ufffd")
    assert "\x00" not in found.fingerprint + str(found.generator_url)


def test_everything_has_a_cap() -> None:
    found = accepted(labels={"alertname": "n" * 10_000, "k" * 10_000: "v" * 100_000}, annotations={"a": "x" * 100_000})
    assert len(found.name) == NAME_LENGTH
    assert max(map(len, found.labels)) == LABEL_NAME_LENGTH
    assert max(map(len, [*found.labels.values(), *found.annotations.values()])) == VALUE_LENGTH


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "pending"}, RejectReason.WRONG_STATUS),
        ({"status": None}, RejectReason.WRONG_STATUS),
        ({"labels": None}, RejectReason.WRONG_LABELS),
        ({"labels": ["a"]}, RejectReason.WRONG_LABELS),
        ({"labels": {"alertname": 7}}, RejectReason.WRONG_LABELS),
        ({"labels": {"alertname": {"a": "b"}}}, RejectReason.WRONG_LABELS),
        ({"labels": {str(n): "" for n in range(300)}}, RejectReason.WRONG_LABELS),
        ({"annotations": {"summary": None}}, RejectReason.WRONG_ANNOTATIONS),
        ({"annotations": "text"}, RejectReason.WRONG_ANNOTATIONS),
        ({"fingerprint": 12}, RejectReason.WRONG_FINGERPRINT),
        ({"generatorURL": []}, RejectReason.WRONG_FIELD),
    ],
)
def test_a_malformed_alert_is_put_aside_with_its_reason_and_body(changes: dict[str, Any], reason: RejectReason) -> None:
    found = read(**changes)
    assert isinstance(found, Rejected)
    assert found.reason is reason
    assert found.message
    assert json.loads(found.body) == {**alertmanager_alert(), **changes}


@pytest.mark.parametrize("given", [None, 1, "text", [], True])
def test_what_is_no_object_is_put_aside(given: Any) -> None:
    found = read_alert(given, SOURCE, NOW, 4)
    assert isinstance(found, Rejected)
    assert (found.reason, found.place) == (RejectReason.NOT_AN_OBJECT, 4)


def test_annotations_and_alertname_may_be_missing() -> None:
    found = read_alert({"status": "firing", "labels": {"a": "b"}}, SOURCE, NOW)
    assert isinstance(found, AlertNotification)
    assert (found.name, found.annotations, found.starts_at) == ("unnamed", {}, None)


def test_a_rejected_body_is_capped_and_storable() -> None:
    assert len(reject(["x" * BODY_LENGTH * 2], SOURCE, RejectReason.NOT_AN_OBJECT, "").body) == BODY_LENGTH
    assert reject("\ud800", SOURCE, RejectReason.NOT_AN_OBJECT, "").body == '"\ufffd"'
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert "too deep" in reject(deep, SOURCE, RejectReason.NOT_AN_OBJECT, "").body


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2026-03-01T12:00:00Z", NOW),
        ("2026-03-01T13:00:00.000000000+01:00", NOW),
        ("2026-03-01T12:00:00", NOW),
        ("0001-01-01T00:00:00Z", None),
        ("1969-12-31T23:59:59Z", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("2026-03-03T12:00:00Z", None),
        ("2026-13-01T12:00:00Z", None),
        ("99999-01-01T00:00:00Z", None),
        ("yesterday", None),
        ("2" * 100_000, None),
        ("", None),
        (None, None),
        (1772366400, None),
        (True, None),
        ({}, None),
    ],
)
def test_an_absurd_time_is_no_time(given: Any, expected: datetime | None) -> None:
    assert read_time(given, NOW) == expected


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
alerts = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["firing", "resolved"]) | json_values,
        "labels": st.dictionaries(st.text(st.characters(exclude_categories=())), st.text()) | json_values,
        "annotations": json_values,
        "startsAt": st.datetimes().map(datetime.isoformat) | json_values,
        "endsAt": st.datetimes().map(datetime.isoformat) | json_values,
        "generatorURL": json_values,
        "fingerprint": json_values,
    },
)


@given(alerts | json_values)
def test_whatever_comes_is_a_storable_notification_or_put_aside(said: Any) -> None:
    found = read_alert(said, SOURCE, NOW)
    if isinstance(found, Rejected):
        texts = [found.body, found.message]
    else:
        texts = [found.fingerprint, found.name, str(found.generator_url)]
        texts += [*found.labels, *found.labels.values(), *found.annotations, *found.annotations.values()]
        assert all(time is None or time <= NOW + timedelta(days=1) for time in (found.starts_at, found.ends_at))
    for text in texts:
        assert "\x00" not in text
        text.encode()
