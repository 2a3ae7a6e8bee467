"""The generic alert: what a script sends that knows nothing of Alertmanager.

`message`, and what else it knows: `service`, `severity`, `labels`, `timestamp`, … One alert or a list of them. What it
says becomes the labels that Alertmanager would send, so that everything after it sees one kind of alert.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from ims.alerts.notifications import (
    FINGERPRINT_LENGTH,
    MOST_LABELS,
    NAME_LENGTH,
    AlertNotification,
    NotificationStatus,
    Pairs,
    Parsed,
    Rejected,
    RejectReason,
    Text,
    explain,
    labels_fingerprint,
    read_time,
    reject,
    short_fingerprint,
)
from ims.alerts.parsers.each import Read, read_each
from ims.core.errors import FieldError, Invalid, TooLarge

MOST_ALERTS: Final = 100_000
"""In one body."""


class NotGeneric(Invalid):
    """The body is no generic alert: send one object with `message`, or a list of such objects."""


def _none_as_empty(given: Any) -> Any:
    return {} if given is None else given


def _no_empty_text(given: str) -> str:
    if not given.strip():
        raise PydanticCustomError("empty", "must not be empty")
    return given


def _readable_time(given: str) -> str:
    try:
        datetime.fromisoformat(given[:FINGERPRINT_LENGTH])
    except ValueError:
        raise PydanticCustomError("time", "write RFC 3339, such as 2026-03-01T12:00:00Z") from None
    return given


class GenericAlert(BaseModel):
    """An alert as a script sends it. Other keys are accepted; null is as good as not given."""

    model_config = ConfigDict(strict=True, extra="ignore")

    message: Annotated[Text, Field(description="What is wrong, in a sentence."), AfterValidator(_no_empty_text)]
    name: Annotated[Text | None, Field(description="What kind of alert it is; without it, the message.")] = None
    service: Annotated[Text | None, Field(description="The service that it is about.")] = None
    severity: Annotated[
        Text | None, Field(description="As you call it: critical, high, warning, info, …; unknown ones are medium.")
    ] = None
    environment: Text | None = None
    status: Annotated[Literal["firing", "resolved"] | None, Field(description="Without it: firing.")] = None
    labels: Annotated[
        Pairs, Field(description="What rules match: names with texts."), BeforeValidator(_none_as_empty)
    ] = {}
    annotations: Annotated[
        Pairs, Field(description="What people should read: names with texts."), BeforeValidator(_none_as_empty)
    ] = {}
    timestamp: Annotated[
        Annotated[Text, AfterValidator(_readable_time)] | None,
        Field(description="When it began, or ended; RFC 3339."),
    ] = None
    url: Annotated[Text | None, Field(description="Where it comes from.")] = None
    fingerprint: Annotated[
        Text | None,
        Field(
            validation_alias=AliasChoices("fingerprint", "dedup_key"),
            description="By this the same alert is known again; without it by its name and labels. Also `dedup_key`.",
        ),
    ] = None


_REASONS: Final[Mapping[str, RejectReason]] = {
    "status": RejectReason.WRONG_STATUS,
    "labels": RejectReason.WRONG_LABELS,
    "annotations": RejectReason.WRONG_ANNOTATIONS,
    "fingerprint": RejectReason.WRONG_FINGERPRINT,
    "dedup_key": RejectReason.WRONG_FINGERPRINT,
}


def parse_generic(body: Any, source: str, now: datetime) -> Parsed:
    """The notifications in a body. A malformed alert is put aside, the others go on.

    Raises `NotGeneric` when the body is neither an object nor a list, `TooLarge` when it holds too many alerts.
    """
    if not isinstance(body, dict | list):
        raise NotGeneric(fields=[FieldError("body", "must be an object with message, or a list of them")])
    return parse_list(body if isinstance(body, list) else [body], read_generic, source, now)


def parse_list(alerts: list[Any], read: Read, source: str, now: datetime) -> Parsed:
    """Read one alert after the other. Raises `TooLarge`."""
    if len(alerts) > MOST_ALERTS:
        raise TooLarge(f"A body may hold {MOST_ALERTS} alerts: send less at once.")
    return read_each(alerts, read, source, now)


def read_generic(given: Any, source: str, now: datetime, place: int | None = None) -> AlertNotification | Rejected:
    """Read one generic alert; never raises for bad input.

    Without a fingerprint it is known by its name and labels, service and severity among them: to resolve it, the same
    must be said again. `timestamp` is when it began, or when it ended; an absurd one is taken as not given.
    """
    if not isinstance(given, dict):
        return reject(given, source, RejectReason.NOT_AN_OBJECT, "An alert must be an object.", place)
    try:
        alert = GenericAlert.model_validate(given)
    except ValidationError as error:
        reason, message = explain(error, _REASONS)
        return reject(given, source, reason, message, place)
    labels = _labels(alert)
    for where, pairs in (("labels", labels), ("annotations", alert.annotations)):
        if len(pairs) > MOST_LABELS:
            return reject(given, source, _REASONS[where], f"{where}: at most {MOST_LABELS}.", place)
    status = NotificationStatus(alert.status or "firing")
    time = read_time(alert.timestamp, now)
    return AlertNotification(
        source=source,
        fingerprint=short_fingerprint(alert.fingerprint) if alert.fingerprint else labels_fingerprint(labels),
        status=status,
        name=labels["alertname"],
        labels=labels,
        annotations={"summary": alert.message, **alert.annotations},
        starts_at=time if status is NotificationStatus.FIRING else None,
        ends_at=time if status is NotificationStatus.RESOLVED else None,
        generator_url=alert.url or None,
    )


def _labels(alert: GenericAlert) -> dict[str, str]:
    said = {"service": alert.service, "severity": alert.severity, "environment": alert.environment}
    labels = {**alert.labels, **{name: value for name, value in said.items() if value}}
    labels["alertname"] = (alert.name or labels.get("alertname") or alert.message)[:NAME_LENGTH]
    return labels
