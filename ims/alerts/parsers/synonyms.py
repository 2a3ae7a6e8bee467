"""Other names that senders use for the fields of a generic alert, and for its statuses. Pure.

A synonym is used only if its value has the type of the field. The answer to the sender names the unused keys.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from ims.alerts.notifications import clean

SYNONYMS: Final[Mapping[str, tuple[str, ...]]] = {
    "message": ("summary", "title", "text", "msg", "description"),
    "name": ("alertname", "alert_name", "check", "rule", "title"),
    "service": ("service_name", "service.name", "application"),
    "severity": ("priority", "level", "urgency"),
    "environment": ("env",),
    "status": ("state", "alert_state", "event_action", "action"),
    "timestamp": ("time", "@timestamp", "starts_at", "startsAt", "occurred_at"),
    "fingerprint": ("dedupKey", "alias", "alert_uid", "incident_key", "alert_key"),
    "url": ("link", "link_to_upstream_details", "generatorURL"),
}
"""For each field, the keys that are used, in this order, if the field is missing. A key is used for one field only."""
LABELS: Final[Mapping[str, tuple[str, ...]]] = {
    "instance": ("instance", "entity", "host", "hostname", "resource"),
    "event_source": ("source",),
}
"""For each label, the keys that become it."""
ANNOTATIONS: Final[Mapping[str, str]] = {"summary": "summary", "description": "description"}
"""Keys that become annotations, unless one is used as the message."""

FIRING_WORDS: Final = frozenset({
    "firing", "alerting", "alert", "problem", "down", "triggered", "trigger", "create", "created", "open", "opened",
    "active", "raised", "critical", "error", "warning", "warn", "fail", "failed", "failing", "failure", "unhealthy",
    "bad", "unknown", "unreachable", "nodata", "no_data",
})  # fmt: skip
"""Statuses that mean `firing`, in lower case."""
RESOLVED_WORDS: Final = frozenset({
    "resolved", "resolve", "ok", "okay", "up", "recovered", "recovery", "normal", "clear", "cleared", "close", "closed",
    "healthy", "success", "succeeded", "passing", "passed", "good", "inactive", "fixed", "green",
})  # fmt: skip
"""Statuses that mean `resolved`, in lower case."""
IGNORED_WORDS: Final = frozenset({
    "pending", "acknowledged", "acknowledge", "ack", "muted", "silenced", "suppressed", "snoozed", "paused",
    "maintenance", "test",
})  # fmt: skip
"""Statuses that mean neither: the alert is ignored, and the answer says so."""

MOST_UNUSED: Final = 50
_UNUSED_LENGTH: Final = 64
_MILLISECONDS: Final = 1e11
"""As seconds, a larger number would be after the year 5000: it is in milliseconds."""

_OWN: Final = frozenset({*SYNONYMS, "labels", "annotations", "dedup_key"})


@dataclass(frozen=True, slots=True)
class Understood:
    """A generic alert with the field names of the generic format."""

    fields: dict[str, Any]
    unused: tuple[str, ...] = ()
    """Keys of the sender that IMS does not use."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """For each field that was taken from a synonym, the synonym."""


def understood(given: Mapping[str, Any]) -> Understood:
    """Rename an alert's synonyms to the fields of the generic format. Its own fields stay unchanged: validation comes
    later."""
    if _OWN.issuperset(given):
        return Understood(dict(given))
    fields: dict[str, Any] = {key: given[key] for key in given if key in _OWN}
    used = set(fields)
    renamed = {}
    for name, names in SYNONYMS.items():
        if fields.get(name) is not None or (name == "fingerprint" and fields.get("dedup_key") is not None):
            continue
        if found := _synonym_of(name, names, given, used):
            renamed[name], fields[name] = found
            used.add(found[0])
    if fields.get("status") is None and given.get("resolved") is True:
        fields["status"] = "resolved"
        used.add("resolved")
    _add_labels(fields, given, used)
    _add_annotations(fields, given, used)
    unused = (key for key in given if key not in used and given[key] is not None)
    return Understood(fields, tuple(_named(unused)), renamed)


def _synonym_of(field: str, names: tuple[str, ...], given: Mapping[str, Any], used: set[str]) -> tuple[str, Any] | None:
    for name in names:
        if name in used or (value := given.get(name)) is None:
            continue
        if field == "timestamp":
            value = readable_time(value)
        # A state of another type than text is passed on for validation to reject: without it the alert would be firing.
        if (isinstance(value, str) and value.strip()) or (value is not None and name in ("state", "alert_state")):
            return name, value
    return None


def _add_labels(fields: dict[str, Any], given: Mapping[str, Any], used: set[str]) -> None:
    if fields.get("labels") is not None and not isinstance(fields["labels"], dict):
        return
    labels = dict(fields.get("labels") or {})
    for label, names in LABELS.items():
        for name in names:
            if label not in labels and name not in used and isinstance(given.get(name), str) and given[name]:
                labels[label] = given[name]
                used.add(name)
    fields["labels"] = labels


def _add_annotations(fields: dict[str, Any], given: Mapping[str, Any], used: set[str]) -> None:
    if fields.get("annotations") is not None and not isinstance(fields["annotations"], dict):
        return
    annotations = dict(fields.get("annotations") or {})
    for key, name in ANNOTATIONS.items():
        if key not in used and isinstance(given.get(key), str) and given[key]:
            annotations.setdefault(name, given[key])
            used.add(key)
    if "summary" in given and isinstance(fields.get("message"), str) and fields["message"] != given["summary"]:
        annotations.setdefault("description", fields["message"])
    fields["annotations"] = annotations


def _named(keys: Iterator[str]) -> Iterator[str]:
    for _, key in zip(range(MOST_UNUSED), keys, strict=False):
        yield clean(key)[:_UNUSED_LENGTH]


def readable_time(given: Any) -> str | None:
    """A time in RFC 3339, given as such, or as seconds or milliseconds since 1970; None if it is none of these."""
    if isinstance(given, str):
        try:
            datetime.fromisoformat(given[:64])
        except ValueError:
            return None
        return given
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given) or given < 0:
        return None
    seconds = given / 1000 if given > _MILLISECONDS else given
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        return None


def meaning_of(status: str) -> str | None:
    """What a status means: `firing`, `resolved` or `ignored`; None if it is unknown."""
    word = status.strip().lower()
    if word in FIRING_WORDS:
        return "firing"
    if word in RESOLVED_WORDS:
        return "resolved"
    return "ignored" if word in IGNORED_WORDS else None
