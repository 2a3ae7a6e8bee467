"""What people may write into an incident: checked at once, every wrong field named."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ims.core.severity import Severity
from ims.core.validation import FILLED_LINE_SCHEMA, LINE_SCHEMA, TEXT_SCHEMA, Input, one_line, plain_text

TITLE_LENGTH = 200
TEXT_LENGTH = 20_000
NAME_LENGTH = 128

SEVERITIES = (Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW)
"""The severities an incident can have, worst first."""

Title = Annotated[
    str, Field(min_length=1, max_length=TITLE_LENGTH, json_schema_extra=FILLED_LINE_SCHEMA), AfterValidator(one_line)
]
Text = Annotated[str, Field(max_length=TEXT_LENGTH, json_schema_extra=TEXT_SCHEMA), AfterValidator(plain_text)]
Name = Annotated[str, Field(max_length=NAME_LENGTH, json_schema_extra=LINE_SCHEMA), AfterValidator(one_line)]
KnownSeverity = Literal["critical", "high", "medium", "low"]


class NewIncident(Input):
    """An incident that a person opens. Empty names mean none."""

    title: Annotated[Title, Field(description="What is wrong, in a few words.")]
    description: Annotated[Text, Field(description="Markdown.")] = ""
    severity: Annotated[KnownSeverity, Field(description="How bad it is, worst first.")]
    service: Annotated[Name, Field(description="A service of the inventory, if it is about one.")] = ""
    environment: Annotated[Name, Field(description="Where; without it the service's, or `default`.")] = ""
    team: Annotated[Name, Field(description="A known team that looks after it; without it the service's.")] = ""
    assignee: Annotated[Name, Field(description="Name of the account it is given to.")] = ""


class Editable(Input):
    """What of an incident may be edited, all of it: as it is, as it was, or as it shall be."""

    title: Title
    description: Text = ""
    severity: KnownSeverity
    team: Name = ""
    assignee: Name = ""


class Assignment(Input):
    """Whom an incident is given to; empty is nobody."""

    assignee: Name = ""


class Note(Input):
    """A note for the timeline."""

    text: Annotated[Text, Field(min_length=1)]


class Closing(Input):
    """What may be said on resolving."""

    text: Text = ""
