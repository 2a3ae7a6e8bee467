"""What people may write into an incident: checked at once, every wrong field named."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ims.alerts.models import Severity

TITLE_LENGTH = 200
TEXT_LENGTH = 20_000
NAME_LENGTH = 128

SEVERITIES = (Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW)
"""The severities an incident can have, worst first."""

# The same rules for programs that read the API's description: one line, and a text of several.
_LINE_PATTERN = r"^[^\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]*$"
_TITLE_PATTERN = (
    r"^[^\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]*[^\x00-\x20\x7f-\xa0\u1680\u2000-\u206f\u3000]"
    r"[^\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]*$"
)
_TEXT_PATTERN = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]*$"

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


Title = Annotated[
    str,
    Field(min_length=1, max_length=TITLE_LENGTH, json_schema_extra={"pattern": _TITLE_PATTERN}),
    AfterValidator(_line),
]
Text = Annotated[
    str, Field(max_length=TEXT_LENGTH, json_schema_extra={"pattern": _TEXT_PATTERN}), AfterValidator(_text)
]
Name = Annotated[
    str, Field(max_length=NAME_LENGTH, json_schema_extra={"pattern": _LINE_PATTERN}), AfterValidator(_line)
]
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


class Note(_Input):
    """A note for the timeline."""

    text: Annotated[Text, Field(min_length=1)]


class Closing(_Input):
    """What may be said on resolving."""

    text: Text = ""
