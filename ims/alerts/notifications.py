"""What a sender sends, made safe and uniform.

Whatever sent it, a notification holds text that PostgreSQL can store and a page can show: no NUL, no lone surrogates, and
nothing longer than its cap. What cannot become a notification becomes a `Rejected` with its reason and its body, so that
nothing a sender said is lost.
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
"""Longest alert name. It is part of a correlation key, and an index entry of PostgreSQL ends at 2.7 kB."""
FINGERPRINT_LENGTH = 128
LABEL_NAME_LENGTH = 256
VALUE_LENGTH = 8192
"""Longest value of a label or annotation; the rest is cut."""
MOST_LABELS = 256
"""An alert with more labels or annotations is put aside: no sender means it."""
BODY_LENGTH = 64 * 1024
"""How much of a dead letter is kept."""
UNNAMED = "unnamed"

_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
_CLOCKS_DIFFER = timedelta(days=1)

_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")


class NotificationStatus(StrEnum):
    """What a notification says about its alert."""

    FIRING = "firing"
    RESOLVED = "resolved"


class RejectReason(StrEnum):
    """Why something could not become a notification. A fixed set: it is a label of a metric."""

    NOT_AN_OBJECT = "not_an_object"
    WRONG_STATUS = "wrong_status"
    WRONG_LABELS = "wrong_labels"
    WRONG_ANNOTATIONS = "wrong_annotations"
    WRONG_FINGERPRINT = "wrong_fingerprint"
    WRONG_FIELD = "wrong_field"
    NOT_STORABLE = "not_storable"


@dataclass(frozen=True, slots=True)
class AlertNotification:
    """One thing a sender said about one alert. Times are the sender's; None when it gave none, or an absurd one."""

    source: str
    fingerprint: str
    status: NotificationStatus
    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime | None
    ends_at: datetime | None
    generator_url: str | None
    was_missed: bool = False
    """It never came: the source's own Alertmanager said so when it was asked."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """What could not become a notification: the reason, a sentence for people, and the body as text."""

    source: str
    reason: RejectReason
    message: str
    body: str
    place: int | None = None
    """Its place in the sender's list, from 0."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a body held. `truncated` is how many alerts the sender left out, `receiver` is what it calls us."""

    notifications: tuple[AlertNotification, ...]
    rejected: tuple[Rejected, ...]
    truncated: int = 0
    receiver: str | None = None
    places: tuple[int, ...] = ()
    """Of each notification, its place in the sender's list."""


def clean(text: str) -> str:
    """`text` with everything replaced that PostgreSQL's text and jsonb cannot hold."""
    return _NOT_STORABLE.sub("\ufffd", text)


def _text(given: Any) -> Any:
    return clean(given)[:VALUE_LENGTH] if isinstance(given, str) else given


def _pairs(given: Any) -> Any:
    """Labels or annotations made safe, all at once: nearly always there is nothing to do."""
    if not isinstance(given, dict):
        return given
    try:
        is_safe = _NOT_STORABLE.search("".join([*given, *given.values()])) is None
    except TypeError:
        # Something is no text: what it is, the validation tells.
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
    """An alert in the shape that Alertmanager's webhook and API share. Unknown keys are accepted."""

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


def read_alert(given: Any, source: str, now: datetime, place: int | None = None) -> AlertNotification | Rejected:
    """Read one alert of Alertmanager's shape; never raises for bad input.

    An alert without a fingerprint (old versions) gets the one that newer versions compute from its labels.
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
    return AlertNotification(
        source=source,
        fingerprint=_fingerprint(alert.fingerprint, alert.labels),
        status=NotificationStatus(alert.status),
        name=(alert.labels.get("alertname") or UNNAMED)[:NAME_LENGTH],
        labels=alert.labels,
        annotations=alert.annotations,
        starts_at=read_time(alert.startsAt, now),
        # While an alert fires, endsAt is the zero time, or in the API the time when it will be given up.
        ends_at=read_time(alert.endsAt, now) if alert.status == "resolved" else None,
        generator_url=alert.generatorURL or None,
    )


_WORDS: Final = {
    "missing": "is missing",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "dict_type": "must be an object",
    "list_type": "must be a list",
}
"""A sender knows JSON, not the types of our language."""


def explain(error: ValidationError, reasons: Mapping[str, RejectReason]) -> tuple[RejectReason, str]:
    """The reason of the first wrong field, and a sentence that names every wrong field and what it must be."""
    wrong = error.errors(include_input=False, include_url=False)
    told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {_must(one)}" for one in wrong[:10])
    return reasons.get(str(wrong[0]["loc"][0]), RejectReason.WRONG_FIELD), clean(told[:500])


def _must(wrong: ErrorDetails) -> str:
    if wrong["type"] == "literal_error":
        return f"must be {wrong['ctx']['expected']}"
    return _WORDS.get(wrong["type"], wrong["msg"])


def reject(given: Any, source: str, reason: RejectReason, message: str, place: int | None = None) -> Rejected:
    """Put something aside with its reason and as much of its body as is kept."""
    try:
        body = json.dumps(given, ensure_ascii=False)
    except (RecursionError, TypeError, ValueError):
        body = "(too deep to be written down)"
    return Rejected(source, reason, message, clean(body[:BODY_LENGTH]), place)


def read_time(given: Any, now: datetime) -> datetime | None:
    """A sender's time; None if there is none, it cannot be read, or it is absurd.

    Go's zero time means "not yet". A time more than a day ahead of ours would make every later resolve look old.
    """
    if not isinstance(given, str) or len(given) > 64:
        return None
    try:
        time = datetime.fromisoformat(given)
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return time if _EARLIEST <= time <= now + _CLOCKS_DIFFER else None


def _fingerprint(given: str | None, labels: Mapping[str, str]) -> str:
    if not given:
        return labels_fingerprint(labels)
    return short_fingerprint(given)


def short_fingerprint(given: str) -> str:
    """A sender's fingerprint, or its digest when it is too long: cutting it could make one alert of two."""
    return given if len(given) <= FINGERPRINT_LENGTH else hashlib.sha256(given.encode()).hexdigest()


_FNV_OFFSET, _FNV_PRIME = 14695981039346656037, 1099511628211


def labels_fingerprint(labels: Mapping[str, str]) -> str:
    """Alertmanager's own fingerprint: FNV-1a over the sorted names and values, each ended by byte 255.

    Source: github.com/prometheus/common, model/signature.go. The same algorithm matters: after an upgrade of the
    sender its alerts must still be the ones we know.
    """
    total = _FNV_OFFSET
    for name in sorted(labels):
        for byte in b"%s\xff%s\xff" % (name.encode(), labels[name].encode()):
            total = ((total ^ byte) * _FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return f"{total:016x}"
