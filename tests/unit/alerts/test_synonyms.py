"""What scripts call the fields of an alert is understood; what is not is named."""

from pathlib import Path
from typing import Any

import pytest

from ims.alerts.notifications import AlertNotification, Ignored, NotificationStatus, Rejected, RejectReason
from ims.alerts.parsers.generic import read_generic
from ims.alerts.parsers.synonyms import (
    FIRING_WORDS,
    IGNORED_WORDS,
    LABELS,
    MOST_UNUSED,
    RESOLVED_WORDS,
    SYNONYMS,
    readable_time,
)
from tests.support.notifications import NOW, SOURCE


def read(**given: Any) -> AlertNotification:
    found = read_generic(given, SOURCE, NOW)
    assert isinstance(found, AlertNotification), found
    return found


def test_what_was_written_for_opsgenie_is_understood() -> None:
    one, again = (
        read(
            message=f"Disk {percent} % full on db-2", alias="disk-db-2", description="made-up", priority="P1",
            tags=["db"], details={"host": "db-2"}, entity="db-2", source="cron",
        )
        for percent in (91, 92)
    )  # fmt: skip
    assert one.fingerprint == again.fingerprint == "disk-db-2"
    assert one.labels == {
        "alertname": "Disk 91 % full on db-2", "severity": "P1", "instance": "db-2", "event_source": "cron",
    }  # fmt: skip
    assert one.annotations == {"summary": "Disk 91 % full on db-2", "description": "made-up"}
    assert one.unused == ("tags", "details")


def test_a_state_resolves_what_another_one_opened() -> None:
    same = {"host": "edge-5", "title": "monit", "alert_uid": "1-2"}
    firing = read(**same, state="alerting", message="No report for 164 seconds")
    over = read(**same, state="ok", message="Status report received successfully")
    assert (firing.status, over.status) == (NotificationStatus.FIRING, NotificationStatus.RESOLVED)
    assert firing.fingerprint == over.fingerprint
    assert (firing.name, firing.unused) == ("monit", ())
    without_uid = [read(host="edge-5", title="monit", state=state, message=state) for state in ("down", "up")]
    assert without_uid[0].fingerprint == without_uid[1].fingerprint


@pytest.mark.parametrize("key", ["status", *SYNONYMS["status"]])
def test_every_word_for_a_status_counts_under_every_key(key: str) -> None:
    for words, status in ((FIRING_WORDS, NotificationStatus.FIRING), (RESOLVED_WORDS, NotificationStatus.RESOLVED)):
        for word in words:
            assert read(**{"message": "x", key: word.upper()}).status is status
    for word in IGNORED_WORDS:
        assert isinstance(read_generic({"message": "x", key: word}, SOURCE, NOW), Ignored)


@pytest.mark.parametrize(
    ("given", "reason", "named"),
    [
        ({"state": "banana"}, RejectReason.WRONG_STATUS, "state: 'banana'"),
        ({"state": 0}, RejectReason.WRONG_STATUS, "status: "),
        ({"alert_state": {"a": 1}}, RejectReason.WRONG_STATUS, "status: "),
        ({"severity": "ok"}, RejectReason.WRONG_FIELD, "severity: 'ok' means resolved"),
        ({"priority": "cleared"}, RejectReason.WRONG_FIELD, "'cleared' means resolved"),
    ],
)
def test_what_is_no_clear_status_is_never_an_alert(given: dict[str, Any], reason: RejectReason, named: str) -> None:
    found = read_generic({"message": "x", **given}, SOURCE, NOW)
    assert isinstance(found, Rejected)
    assert found.reason is reason
    assert named in found.message


def test_other_all_clears_resolve() -> None:
    assert read(message="x", severity="OK", dedup_key="d").status is NotificationStatus.RESOLVED
    assert read(message="x", resolved=True).status is NotificationStatus.RESOLVED
    assert read(message="x", status="firing", resolved=True).status is NotificationStatus.FIRING


def test_every_synonym_stands_for_its_field_and_never_beats_it() -> None:
    own = {"message": "m", "timestamp": "2026-03-01T11:00:00Z", "status": "firing"}
    for field, names in SYNONYMS.items():
        for name in names:
            value = own.get(field, "x")
            canonical, called = read(**{"message": "m", field: value}), read(**{"message": "m", name: value})
            if field != "message":
                assert canonical.fingerprint == called.fingerprint, name
                assert canonical == called, name
            assert name in read(**{"message": "m", field: value, name: 7}).unused or name in ("state", "alert_state")


def test_messages_by_other_names() -> None:
    assert read(summary="s", description="d").annotations == {"summary": "s", "description": "d"}
    assert read(title="t", text="x").annotations["summary"] == "t"
    assert read(msg="m").annotations == {"summary": "m"}
    assert read(message="long", summary="short").annotations == {"summary": "short", "description": "long"}


def test_labels_by_other_names_never_beat_labels() -> None:
    for label, names in LABELS.items():
        for name in names:
            assert read(**{"message": "m", name: "x"}).labels[label] == "x"
    assert read(message="m", host="x", labels={"instance": "y"}).labels["instance"] == "y"
    assert read(message="m", host={"name": "x"}).unused == ("host",)


def test_what_says_nothing_is_named_and_null_is_as_good_as_not_there() -> None:
    assert read(message="m", tags=[1], details={}, empty=None, responders=[]).unused == (
        "tags",
        "details",
        "responders",
    )
    assert len(read(message="m", **{f"k{n}": 1 for n in range(200)}).unused) == MOST_UNUSED
    assert read(message="m", **{"\x00" * 100: 1}).unused == ("\ufffd" * 64,)


def test_times_are_texts_or_seconds_or_milliseconds() -> None:
    assert readable_time(1772366390) == readable_time(1772366390000.0) == "2026-03-01T11:59:50+00:00"
    assert readable_time("2026-03-01 11:59:50") == "2026-03-01 11:59:50"
    assert [readable_time(one) for one in ("soon", True, -1, float("inf"), 1e300, None)] == [None] * 6
    assert read(message="m", time=1772366390).starts_at is not None
    assert read(message="m", time="yesterday").unused == ("time",)


def test_no_key_stands_for_two_fields_but_title() -> None:
    every = [name for names in (*SYNONYMS.values(), *LABELS.values()) for name in names]
    assert sorted({name for name in every if every.count(name) > 1}) == ["title"]


def test_the_reference_names_every_synonym() -> None:
    written = (Path(__file__).parents[3] / "docs/reference/webhook.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in written.splitlines() if line.startswith("| ")]
    called = {**SYNONYMS, **{f"label {label}": names for label, names in LABELS.items()}}
    for field, names in called.items():
        assert any(
            cells[1].replace("`", "").strip() == field and all(f"`{name}`" in cells[2] for name in names)
            for cells in rows
        ), field
