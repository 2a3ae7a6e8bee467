"""Alerts as CloudEvents 1.0: an event's `data` is a generic alert.

Source: github.com/cloudevents/spec, cloudevents/spec.md and formats/json-format.md. Structured mode is one event in the
body, batched mode a list of them; in binary mode the body is the data, and the attributes are headers. Unknown
attributes are accepted: they are extensions.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from ims.alerts.notifications import (
    NAME_LENGTH,
    AlertNotification,
    Ignored,
    Parsed,
    Rejected,
    RejectReason,
    Text,
    explain,
    reject,
    short_fingerprint,
)
from ims.alerts.parsers.each import parse_list
from ims.alerts.parsers.generic import read_fields, read_generic
from ims.alerts.parsers.mapped import read_mapped
from ims.core.errors import FieldError, Invalid
from ims.policy.ready_formats import KUBERNETES_EVENT, is_kubernetes_event

_NO_REASONS: Final[Mapping[str, RejectReason]] = {}


class NotCloudevents(Invalid):
    """The body is not a CloudEvent in JSON: send one event (structured mode) or a list of events (batched mode)."""


STRUCTURED: Final = "application/cloudevents"
"""Media types of events with their attributes in the body begin so; headers beside them are copies."""
PREFIX: Final = "ce-"
"""Attributes in binary mode are headers that begin so."""


def is_binary(media_type: str, headers: Mapping[str, str]) -> bool:
    """Whether a request holds an event in binary mode: its data is the body, its attributes are headers."""
    return f"{PREFIX}specversion" in headers and not media_type.startswith(STRUCTURED)


def event_of(headers: Mapping[str, str], data: Any) -> dict[str, Any]:
    """An event in binary mode as it would be in structured mode. `headers` are in small letters.

    Source: cloudevents/bindings/http-protocol-binding.md: values are percent-encoded UTF-8.
    """
    attributes = {
        name.removeprefix(PREFIX): unquote(value) for name, value in headers.items() if name.startswith(PREFIX)
    }
    return {**attributes, "data": data}


Attribute = Annotated[Text, StringConstraints(min_length=1)]


class _Event(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    specversion: Literal["1.0"]
    id: Attribute
    source: Attribute
    type: Attribute
    time: Any = None
    data: dict[str, Any]


def parse_cloudevents(body: Any, source: str, now: datetime) -> Parsed:
    """Parse a body. Malformed events are rejected, the others are accepted. Raises `NotCloudevents` and `TooLarge`."""
    if not isinstance(body, dict | list):
        raise NotCloudevents(fields=[FieldError("body", "must be an event or a list of events")])
    return parse_list(body if isinstance(body, list) else [body], read_event, source, now)


def read_event(
    given: Any, source: str, now: datetime, place: int | None = None
) -> AlertNotification | Rejected | Ignored:
    """Parse one event; never raises for bad input.

    The event's `source` becomes a label, so the same alert from two producers is two alerts. Its `id` becomes an
    annotation only: a repeated event is recognised by its alert. `time` replaces a missing `timestamp`.
    """
    if not isinstance(given, dict):
        return reject(given, source, RejectReason.NOT_AN_OBJECT, "An event must be an object.", place)
    try:
        event = _Event.model_validate(given)
    except ValidationError as error:
        reason, message = explain(error, _NO_REASONS)
        return reject(given, source, reason, message, place)
    if is_kubernetes_event(event.data):
        return _read_kubernetes(event, given, source, now, place)
    read = read_generic(_completed(event), source, now, place)
    if isinstance(read, Rejected):
        # The dead letter stores the event as it was sent, since a retry parses it again.
        return reject(given, source, read.reason, f"data: {read.message}", place)
    return read


def _read_kubernetes(
    event: _Event, given: Any, source: str, now: datetime, place: int | None
) -> AlertNotification | Rejected | Ignored:
    """Read an Event of Kubernetes; that one is deleted, as each is after an hour, says nothing."""
    if event.type.endswith(".delete"):
        return Ignored(f"type: {event.type[:NAME_LENGTH]!r} says that an Event was deleted.", place)
    read = read_mapped(KUBERNETES_EVENT, read_fields, event.data, source, now, place)
    if isinstance(read, Rejected):
        return reject(given, source, read.reason, f"data: {read.message}", place)
    if isinstance(read, Ignored):
        return read
    # Two clusters may have objects of one name.
    of_cluster = short_fingerprint(f"{event.source}/{read.fingerprint}")
    return replace(read, fingerprint=of_cluster, labels={"event_source": event.source, **read.labels})


def _completed(event: _Event) -> dict[str, Any]:
    data = dict(event.data)
    if data.get("timestamp") is None and event.time is not None:
        data["timestamp"] = event.time
    labels, annotations = data.get("labels"), data.get("annotations")
    if labels is None or isinstance(labels, dict):
        data["labels"] = {"event_source": event.source, **(labels or {})}
    if annotations is None or isinstance(annotations, dict):
        data["annotations"] = {"event_id": event.id, "event_type": event.type, **(annotations or {})}
    return data
