"""Input models of incidents. Validation reports all invalid fields at once."""

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
    """An incident that a person opens. An empty name means none."""

    title: Annotated[Title, Field(description="What is wrong, in a few words.")]
    description: Annotated[Text, Field(description="Markdown.")] = ""
    severity: Annotated[KnownSeverity, Field(description="How bad it is, worst first.")]
    service: Annotated[Name, Field(description="The affected service of the inventory, if there is one.")] = ""
    environment: Annotated[
        Name, Field(description="The environment. Defaults to the service's environment, or `default`.")
    ] = ""
    team: Annotated[Name, Field(description="The responsible team. Defaults to the service's team.")] = ""
    assignee: Annotated[Name, Field(description="The name of the account that the incident is assigned to.")] = ""


class Editable(Input):
    """All editable fields of an incident: its present, former or new values."""

    title: Title
    description: Text = ""
    severity: KnownSeverity
    team: Name = ""
    assignee: Name = ""


class Assignment(Input):
    """The account that an incident is assigned to; empty means unassigned."""

    assignee: Name = ""


class Note(Input):
    """A note for the timeline."""

    text: Annotated[Text, Field(min_length=1)]


class Closing(Input):
    """An optional note on resolving."""

    text: Text = ""
