"""Notifications: what senders send, sanitised and in one form.

Whatever its sender, a notification only holds text that PostgreSQL can store and a page can show: no NUL, no lone
surrogates, and nothing longer than its limit. An invalid alert becomes a `Rejected` with its reason and body, so that
nothing that a sender sent is lost.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

NAME_LENGTH = 256
"""Longest alert name. It is part of a correlation key, and PostgreSQL limits an index entry to 2.7 kB."""
FINGERPRINT_LENGTH = 128
LABEL_NAME_LENGTH = 256
VALUE_LENGTH = 8192
"""Longest value of a label or annotation; the rest is cut."""
MOST_LABELS = 256
"""An alert with more labels or annotations is rejected: no sender does so on purpose."""
BODY_LENGTH = 64 * 1024
"""How many characters of a dead letter are stored."""
UNNAMED = "unnamed"

_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
_CLOCKS_DIFFER = timedelta(days=1)

_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")


class NotificationStatus(StrEnum):
    """The status of an alert in a notification."""

    FIRING = "firing"
    RESOLVED = "resolved"


class RejectReason(StrEnum):
    """Why an alert was rejected. A fixed set: it is a label of a metric."""

    NOT_AN_OBJECT = "not_an_object"
    WRONG_STATUS = "wrong_status"
    WRONG_LABELS = "wrong_labels"
    WRONG_ANNOTATIONS = "wrong_annotations"
    WRONG_FINGERPRINT = "wrong_fingerprint"
    WRONG_FIELD = "wrong_field"
    NOT_STORABLE = "not_storable"
    OTHER_FORMAT = "other_format"
    """It is a well-known sender's, or does not fit the format of its source."""


@dataclass(frozen=True, slots=True)
class AlertNotification:
    """One notification about one alert. Times are the sender's; None when it gave none, or an implausible one."""

    source: str
    fingerprint: str
    status: NotificationStatus
    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime | None
    ends_at: datetime | None
    generator_url: str | None
    group: tuple[tuple[str, str], ...] = ()
    """The labels that the sender itself groups its alerts by, but name and severity."""
    unused: tuple[str, ...] = ()
    """Keys of the alert that say nothing to us."""
    was_missed: bool = False
    """No such notification arrived: reconciliation found it by polling the source's Alertmanager."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """An alert that was rejected: the reason, a message for people, and the body as text."""

    source: str
    reason: RejectReason
    message: str
    body: str
    place: int | None = None
    """Its index in the sender's list, from 0."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Something that is not an alert, such as a test message: in the answer to its sender, and not stored."""

    message: str
    place: int | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """A parsed body. `truncated` is how many alerts the sender left out, `receiver` is its name for this webhook."""

    notifications: tuple[AlertNotification, ...]
    rejected: tuple[Rejected, ...]
    truncated: int = 0
    receiver: str | None = None
    places: tuple[int, ...] = ()
    """For each notification its index in the sender's list."""
    ignored: tuple[Ignored, ...] = ()

    @property
    def is_refused(self) -> bool:
        """Whether nothing of it could be read."""
        return bool(self.rejected) and not self.notifications and not self.ignored


def clean(text: str) -> str:
    """`text` with all characters replaced that PostgreSQL's text and jsonb cannot store."""
    return _NOT_STORABLE.sub("\ufffd", text)


def _text(given: Any) -> Any:
    return clean(given)[:VALUE_LENGTH] if isinstance(given, str) else given


def _pairs(given: Any) -> Any:
    """Sanitise labels or annotations, checking all at once: nearly always there is nothing to do."""
    if not isinstance(given, dict):
        return given
    try:
        is_safe = _NOT_STORABLE.search("".join([*given, *given.values()])) is None
    except TypeError:
        # Some key or value is not text: validation reports which.
        is_safe = False
    if is_safe and all(len(key) <= LABEL_NAME_LENGTH and len(given[key]) <= VALUE_LENGTH for key in given):
        return given
    return {_key(key): _text(value) for key, value in given.items()}


def _key(given: Any) -> Any:
    return clean(given)[:LABEL_NAME_LENGTH] if isinstance(given, str) else given


def _missing_as_empty(given: Any) -> Any:
    return {} if given is None else given


Text = Annotated[str, BeforeValidator(_text)]
Pairs = Annotated[dict[str, str], BeforeValidator(_pairs)]


class _Alert(BaseModel):
    """An alert in the format that Alertmanager's webhook and API share. Unknown keys are accepted."""

    model_config = ConfigDict(strict=True, extra="ignore")

    status: Literal["firing", "resolved"]
    labels: Pairs
    annotations: Annotated[Pairs, BeforeValidator(_missing_as_empty)] = {}
    startsAt: Any = None  # noqa: N815 - the sender's names
    endsAt: Any = None  # noqa: N815
    generatorURL: Text | None = None  # noqa: N815
    fingerprint: Text | None = None


_REASONS = {
    "status": RejectReason.WRONG_STATUS,
    "labels": RejectReason.WRONG_LABELS,
    "annotations": RejectReason.WRONG_ANNOTATIONS,
    "fingerprint": RejectReason.WRONG_FINGERPRINT,
}


def read_alert(
    given: Any, source: str, now: datetime, place: int | None = None, group: tuple[tuple[str, str], ...] = ()
) -> AlertNotification | Rejected:
    """Parse one alert in Alertmanager's format; never raises for bad input.

    An alert without a fingerprint (old versions) gets the one that newer versions compute from its labels. Without
    labels, which no Alertmanager sends but templates do, it is known by its annotations and its generator.
    """
    if not isinstance(given, dict):
        return reject(given, source, RejectReason.NOT_AN_OBJECT, "An alert must be an object.", place)
    try:
        alert = _Alert.model_validate(given)
    except ValidationError as error:
        reason, message = explain(error, _REASONS)
        return reject(given, source, reason, message, place)
    for where, pairs in (("labels", alert.labels), ("annotations", alert.annotations)):
        if len(pairs) > MOST_LABELS:
            return reject(given, source, _REASONS[where], f"{where}: more than {MOST_LABELS}.", place)
    if not alert.labels and not alert.annotations and not alert.generatorURL and not _tells(alert.fingerprint):
        message = "labels: nothing tells this alert from another one; give labels, or a fingerprint."
        return reject(given, source, RejectReason.WRONG_LABELS, message, place)
    return AlertNotification(
        source=source,
        fingerprint=short_fingerprint(alert.fingerprint)
        if alert.fingerprint and (alert.labels or _tells(alert.fingerprint))
        else _fingerprint(alert),
        status=NotificationStatus(alert.status),
        name=(alert.labels.get("alertname") or UNNAMED)[:NAME_LENGTH],
        labels=alert.labels,
        annotations=alert.annotations,
        starts_at=read_time(alert.startsAt, now),
        # While an alert fires, endsAt is the zero time, or in the API the time at which the alert expires.
        ends_at=read_time(alert.endsAt, now) if alert.status == "resolved" else None,
        generator_url=alert.generatorURL or None,
        group=group,
    )


_MESSAGES: Final = {
    "missing": "is missing",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "dict_type": "must be an object",
    "list_type": "must be a list",
}
"""Messages in terms of JSON: a sender does not know Python's types."""


def explain(error: ValidationError, reasons: Mapping[str, RejectReason]) -> tuple[RejectReason, str]:
    """The reason of the first invalid field, and a message that names every invalid field and what it must be."""
    wrong = error.errors(include_input=False, include_url=False)
    message = "; ".join(f"{'.'.join(map(str, one['loc']))}: {_must(one)}" for one in wrong[:10])
    return reasons.get(str(wrong[0]["loc"][0]), RejectReason.WRONG_FIELD), clean(message[:500])


def _must(wrong: ErrorDetails) -> str:
    if wrong["type"] == "literal_error":
        return f"must be {wrong['ctx']['expected']}"
    return _MESSAGES.get(wrong["type"], wrong["msg"])


def reject(given: Any, source: str, reason: RejectReason, message: str, place: int | None = None) -> Rejected:
    """An alert that could not be processed, with its reason and its body, cut to what is stored."""
    try:
        body = json.dumps(given, ensure_ascii=False)
    except (RecursionError, TypeError, ValueError):
        body = "(nested too deeply to be stored)"
    return Rejected(source, reason, message, clean(body[:BODY_LENGTH]), place)


def read_time(given: Any, now: datetime) -> datetime | None:
    """A sender's time; None if there is none, or it is invalid or implausible.

    Go's zero time means "not yet". A start more than a day in the future would make every later resolved notification
    look old.
    """
    if not isinstance(given, str) or len(given) > 64:
        return None
    try:
        time = datetime.fromisoformat(given)
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return time if _EARLIEST <= time <= now + _CLOCKS_DIFFER else None


def _tells(fingerprint: str | None) -> bool:
    """Whether a fingerprint says more than that an alert has no labels."""
    return bool(fingerprint) and fingerprint != labels_fingerprint({})


def _fingerprint(alert: _Alert) -> str:
    if alert.labels:
        return labels_fingerprint(alert.labels)
    said = json.dumps([sorted(alert.annotations.items()), alert.generatorURL or ""])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def short_fingerprint(given: str) -> str:
    """A sender's fingerprint, or its digest when it is too long: a cut one could merge two alerts."""
    return given if len(given) <= FINGERPRINT_LENGTH else hashlib.sha256(given.encode()).hexdigest()


_FNV_OFFSET, _FNV_PRIME = 14695981039346656037, 1099511628211


def labels_fingerprint(labels: Mapping[str, str]) -> str:
    """Alertmanager's own fingerprint: FNV-1a over the sorted names and values, each ended by byte 255.

    Source: github.com/prometheus/common, model/signature.go. The algorithm must be the same: after an upgrade of the
    sender its alerts must keep their fingerprints.
    """
    total = _FNV_OFFSET
    for name in sorted(labels):
        for byte in b"%s\xff%s\xff" % (name.encode(), labels[name].encode()):
            total = ((total ^ byte) * _FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return f"{total:016x}"
