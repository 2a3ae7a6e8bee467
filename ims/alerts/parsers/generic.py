"""The generic alert format, for scripts and tools without Alertmanager.

A body is one alert or a list of alerts. An alert has a `message` and optionally `service`, `severity`, `labels`,
`timestamp` and more. The fields are converted to the labels that Alertmanager would send, so that all later code
handles one kind of alert.
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
    Ignored,
    NotificationStatus,
    Pairs,
    Parsed,
    Rejected,
    RejectReason,
    Text,
    clean,
    explain,
    labels_fingerprint,
    read_time,
    reject,
    short_fingerprint,
)
from ims.alerts.parsers.each import parse_list
from ims.alerts.parsers.mapped import read_mapped
from ims.alerts.parsers.synonyms import RESOLVED_WORDS, Understood, meaning_of, understood
from ims.core.errors import FieldError, Invalid, Unprocessable
from ims.policy.ready_formats import KUBERNETES_EVENT, is_kubernetes_event, sign_of

MOST_NAMED: Final = 10
"""Maximum number of alerts in the error if none of a body could be parsed."""


class NothingReadable(Unprocessable):
    """None of the alerts could be parsed: they are stored as dead letters."""

    def __init__(self, parsed: Parsed) -> None:
        super().__init__(
            fields=[FieldError(f"alerts.{one.place or 0}", one.message) for one in parsed.rejected[:MOST_NAMED]]
        )


class NotGeneric(Invalid):
    """The body is not a generic alert: send one object with `message`, or a list of such objects."""


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
    """A generic alert. Unknown keys are accepted; null means not given."""

    model_config = ConfigDict(strict=True, extra="ignore")

    message: Annotated[Text, Field(description="What is wrong, in a sentence."), AfterValidator(_no_empty_text)]
    name: Annotated[Text | None, Field(description="The name of the alert. Defaults to the message.")] = None
    service: Annotated[Text | None, Field(description="The affected service.")] = None
    severity: Annotated[
        Text | None, Field(description="For example critical, high, warning or info. An unknown severity is medium.")
    ] = None
    environment: Text | None = None
    status: Annotated[Literal["firing", "resolved"] | None, Field(description="Defaults to firing.")] = None
    labels: Annotated[
        Pairs, Field(description="Labels for rules to match: an object of texts."), BeforeValidator(_none_as_empty)
    ] = {}
    annotations: Annotated[
        Pairs, Field(description="Information for people: an object of texts."), BeforeValidator(_none_as_empty)
    ] = {}
    timestamp: Annotated[
        Annotated[Text, AfterValidator(_readable_time)] | None,
        Field(description="When the alert began to fire or was resolved, in RFC 3339."),
    ] = None
    url: Annotated[Text | None, Field(description="A link to where the alert comes from.")] = None
    fingerprint: Annotated[
        Text | None,
        Field(
            validation_alias=AliasChoices("fingerprint", "dedup_key"),
            description="Identifies the alert. Defaults to a hash of its name and labels. Alias: `dedup_key`.",
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
    """Parse a body. Malformed alerts are rejected, the others are accepted.

    Raises `NotGeneric` when the body is neither an object nor a list, `TooLarge` when it has too many alerts.
    """
    if not isinstance(body, dict | list):
        raise NotGeneric(fields=[FieldError("body", "must be an object with message, or a list of them")])
    return parse_list(body if isinstance(body, list) else [body], read_generic, source, now)


def read_generic(
    given: Any, source: str, now: datetime, place: int | None = None
) -> AlertNotification | Rejected | Ignored:
    """Parse one generic alert; never raises for bad input.

    Without a fingerprint an alert is identified by its name and labels, including service and severity: to resolve it,
    send the same ones again. `timestamp` is when it began or ended; an implausible one is ignored.
    """
    if not isinstance(given, dict):
        return reject(given, source, RejectReason.NOT_AN_OBJECT, "An alert must be an object.", place)
    if is_kubernetes_event(given):
        return read_mapped(KUBERNETES_EVENT, read_fields, given, source, now, place)
    if sign := sign_of(given):
        message = f"This looks like an alert from {sign.sender}: {sign.remedy}."
        return reject(given, source, RejectReason.OTHER_FORMAT, message, place)
    return read_fields(understood(given), given, source, now, place)


def read_fields(
    said: Understood, given: Any, source: str, now: datetime, place: int | None
) -> AlertNotification | Rejected | Ignored:
    """Parse an alert whose fields have the names of the generic format; `given` is stored if they are invalid."""
    if (judged := _judge_status(said, given, source, place)) is not None:
        return judged
    try:
        alert = GenericAlert.model_validate(said.fields)
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
        unused=said.unused,
    )


def _judge_status(said: Understood, given: Any, source: str, place: int | None) -> Rejected | Ignored | None:
    """Set the status to `firing` or `resolved`. Returns what to do instead if it means neither."""
    fields, status = said.fields, said.fields.get("status")
    if isinstance(status, str):
        meaning = meaning_of(status)
        key = said.renamed.get("status", "status")
        if meaning is None:
            message = f"{key}: {clean(status)[:64]!r} is unknown: use firing or resolved."
            return reject(given, source, RejectReason.WRONG_STATUS, message, place)
        if meaning == "ignored":
            return Ignored(f"{key}: {clean(status)[:64]!r} means neither firing nor resolved.", place)
        fields["status"] = meaning
    severity = fields.get("severity")
    if status is None and isinstance(severity, str) and severity.strip().lower() in RESOLVED_WORDS:
        if not (fields.get("fingerprint") or fields.get("dedup_key")):
            message = f"severity: {clean(severity)[:64]!r} means resolved, but not which alert: send its fingerprint."
            return reject(given, source, RejectReason.WRONG_FIELD, message, place)
        fields["status"] = "resolved"
    return None


def _labels(alert: GenericAlert) -> dict[str, str]:
    given = {"service": alert.service, "severity": alert.severity, "environment": alert.environment}
    labels = {**alert.labels, **{name: value for name, value in given.items() if value}}
    labels["alertname"] = (alert.name or labels.get("alertname") or alert.message)[:NAME_LENGTH]
    return labels
