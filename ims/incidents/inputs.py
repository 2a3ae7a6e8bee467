"""What people may write into an incident: checked at once, every wrong field named."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ims.alerts.models import Severity
from ims.errors import FieldError, Invalid

TITLE_LENGTH = 200
TEXT_LENGTH = 20_000
NAME_LENGTH = 128

SEVERITIES = (Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW)
"""The severities an incident can have, worst first."""

# Tabs and line breaks may stand in a text; NUL cannot be stored, the others only serve to deceive a terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069]")
_CONTROL_OR_BREAK = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def _line(value: str) -> str:
    if _CONTROL_OR_BREAK.search(value):
        raise ValueError("must be one line without control characters")
    return value


def _text(value: str) -> str:
    value = value.replace("\r\n", "\n")
    if _CONTROL.search(value):
        raise ValueError("must not contain control characters")
    return value


Title = Annotated[str, Field(min_length=1, max_length=TITLE_LENGTH), AfterValidator(_line)]
Text = Annotated[str, Field(max_length=TEXT_LENGTH), AfterValidator(_text)]
Name = Annotated[str, Field(max_length=NAME_LENGTH), AfterValidator(_line)]
KnownSeverity = Literal["critical", "high", "medium", "low"]


class _Input(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)


class NewIncident(_Input):
    """An incident that a person opens. Empty names mean none."""

    title: Title
    description: Text = ""
    severity: KnownSeverity
    service: Name = ""
    environment: Name = ""
    team: Name = ""
    assignee: Name = ""


class Editable(_Input):
    """What of an incident may be edited, all of it: as it is, as it was, or as it shall be."""

    title: Title
    description: Text = ""
    severity: KnownSeverity
    team: Name = ""
    assignee: Name = ""


class Assignment(_Input):
    """Whom an incident is given to; empty is nobody."""

    assignee: Name = ""


class Note(_Input):
    """A note for the timeline."""

    text: Annotated[Text, Field(min_length=1)]


class Closing(_Input):
    """What may be said on resolving."""

    text: Text = ""


M = TypeVar("M", bound=BaseModel)

_WORDS = {
    "missing": "is missing",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "literal_error": "must be one of the offered values",
}


def read(model: type[M], given: Mapping[str, object]) -> M:
    """Check what was given. Raises `Invalid` naming every wrong field and the remedy."""
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)
        raise Invalid(fields=[FieldError(str(e["loc"][0]), _words(e["type"], e["msg"])) for e in wrong]) from error


def _words(kind: str, message: str) -> str:
    if kind == "string_too_long":
        return message.replace("String should have", "may have")
    return _WORDS.get(kind, message.removeprefix("Value error, "))
