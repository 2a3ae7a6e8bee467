"""Maintenance windows as programs write and see them: the same in the API and in `ims maintenance … --json`."""

import json
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationError

from ims.api.fields import WHOLE_NUMBER
from ims.core.errors import FieldError, Unprocessable
from ims.core.schemas import Listing, RequestModel, ResponseModel
from ims.core.validation import LINE_SCHEMA, TEXT_SCHEMA, one_line, plain_text
from ims.incidents.inputs import Name
from ims.maintenance.models import WindowOrigin
from ims.maintenance.queries import KnownWindow
from ims.maintenance.state import WindowState, state_of
from ims.policy.parts import NAME_LENGTH
from ims.policy.recurrence import RULE_LENGTH
from ims.policy.validation import wrong_fields
from ims.policy.windows import LONGEST, MaintenanceWindow

MOST_NAMES: Final = 200
_TIME: Final = r"^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})?)?$"

WindowName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9.-]*$",
        max_length=NAME_LENGTH,
        description="Its name: a-z, 0-9, dots and hyphens.",
        examples=["database-upgrade"],
    ),
]
_ServiceName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=NAME_LENGTH)]
_Label = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=256)]
_Value = Annotated[str, Field(max_length=1024, json_schema_extra=LINE_SCHEMA), AfterValidator(one_line)]
_Rule = Annotated[str, Field(max_length=RULE_LENGTH, json_schema_extra=LINE_SCHEMA), AfterValidator(one_line)]
_Reason = Annotated[str, Field(max_length=4000, json_schema_extra=TEXT_SCHEMA), AfterValidator(plain_text)]
_Time = Annotated[str, Field(pattern=_TIME, max_length=40)]


class ValuePattern(RequestModel):
    """A pattern that a label's whole value must match."""

    regex: _Value


_Wanted = Annotated[
    Annotated[_Value, Tag("<text>")] | Annotated[ValuePattern, Tag("<pattern>")],
    # Tags in angle brackets are no names that people write; they are left out of the name of a wrong field.
    Discriminator(lambda given: "<pattern>" if isinstance(given, dict | ValuePattern) else "<text>"),
]


class NewWindow(RequestModel):
    """A window. It covers alerts of the services and groups it names, narrowed by `match`."""

    name: WindowName
    services: Annotated[
        tuple[_ServiceName, ...],
        Field(max_length=MOST_NAMES, description="Services that it covers, by either name."),
    ] = ()
    groups: Annotated[
        tuple[Name, ...], Field(max_length=MOST_NAMES, description="Inventory groups whose services it covers.")
    ] = ()
    match: Annotated[
        dict[_Label, _Wanted],
        Field(
            default={},
            max_length=50,
            # Else a name that is no label's would be allowed any value.
            json_schema_extra={"additionalProperties": False},
            description='Only alerts with these labels; a pattern is written `{"regex": "…"}`.',
        ),
    ]
    begins: Annotated[
        _Time | None,
        Field(alias="from", description="When it begins, such as 2026-03-01T02:00:00Z; without it, now."),
    ] = None
    ends: Annotated[_Time | None, Field(alias="to", description="When it ends; or give `seconds`.")] = None
    seconds: Annotated[
        Annotated[int, Field(ge=1, le=int(LONGEST.total_seconds())), WHOLE_NUMBER] | None,
        Field(description="How long it is open, instead of `to`."),
    ] = None
    timezone: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*$",
            max_length=64,
            description="Whose clocks times without an offset are read on, and a recurring window keeps to.",
        ),
    ] = "UTC"
    rrule: Annotated[_Rule | None, Field(description="How it recurs, by RFC 5545, such as FREQ=WEEKLY;BYDAY=SU.")] = (
        None
    )
    reason: Annotated[_Reason | None, Field(description="Stands in the timelines of what it covers.")] = None

    def window(self, now: datetime) -> MaintenanceWindow:
        """The window that is meant. Raises `Unprocessable` naming what makes no sense."""
        if (self.ends is None) == (self.seconds is None):
            raise Unprocessable(fields=[FieldError("to", "give either `to` or `seconds`")])
        given = self.model_dump(mode="json", by_alias=True, exclude={"seconds"})
        given["from"] = begins = self.begins or now.replace(microsecond=0).isoformat()
        if self.seconds is not None:
            given["to"] = _after(begins, self.seconds)
        try:
            return MaintenanceWindow.model_validate_json(json.dumps(given))
        except ValidationError as error:
            wrong = [FieldError(one.field or "body", one.message) for one in wrong_fields(MaintenanceWindow, error)]
            raise Unprocessable("The window has faults and was not added.", fields=wrong) from None


def _after(begins: str, seconds: int) -> str:
    """When a window ends; the end of one whose beginning is no time does not matter, for that is told."""
    try:
        return (datetime.fromisoformat(begins) + timedelta(seconds=seconds)).isoformat()
    except (ValueError, OverflowError):
        return begins


class WindowResponse(ResponseModel):
    """A maintenance window, and when it is or will be open."""

    name: str
    services: list[str]
    groups: list[str]
    match: dict[str, Any]
    first_begins: Annotated[str, Field(alias="from", description="When it first begins, as it was written.")]
    first_ends: Annotated[str, Field(alias="to", description="When that first one ends.")]
    timezone: str
    rrule: str | None
    reason: str | None
    origin: Annotated[
        WindowOrigin, Field(description="`command`: added by API or command; `inventory`: by the policy.")
    ]
    state: WindowState
    begins: Annotated[datetime | None, Field(description="Of the time that it is open now, or comes next.")]
    ends: datetime | None
    ended_at: Annotated[datetime | None, Field(description="When somebody ended it early.")]
    actor: Annotated[str | None, Field(description="Who added or ended it.")]


class WindowList(Listing[WindowResponse]):
    """A page of the list of maintenance windows."""


def show_window(known: KnownWindow, now: datetime) -> WindowResponse:
    """A window as programs see it."""
    span = known.span_at(now)
    told = {
        **known.window.model_dump(mode="json"),
        "origin": known.origin,
        "state": state_of(span, now),
        "begins": span.begins if span else None,
        "ends": span.ends if span else None,
        "ended_at": known.ended_at,
        "actor": known.actor,
    }
    return WindowResponse.model_validate(told)
