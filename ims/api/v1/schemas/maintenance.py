"""Maintenance windows, as in the API and in `ims maintenance … --json`."""

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
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]*$",
        max_length=NAME_LENGTH,
        description="Its name: a-z, A-Z, 0-9, dots, hyphens and underscores.",
        examples=["database-upgrade"],
    ),
]
_ServiceName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]*$", max_length=NAME_LENGTH)]
_Label = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=256)]
_Value = Annotated[str, Field(max_length=1024, json_schema_extra=LINE_SCHEMA), AfterValidator(one_line)]
_Rule = Annotated[str, Field(max_length=RULE_LENGTH, json_schema_extra=LINE_SCHEMA), AfterValidator(one_line)]
_Reason = Annotated[str, Field(max_length=4000, json_schema_extra=TEXT_SCHEMA), AfterValidator(plain_text)]
_Time = Annotated[str, Field(pattern=_TIME, max_length=40)]


class ValuePattern(RequestModel):
    """A regular expression that must match the whole value of a label."""

    regex: _Value


_Wanted = Annotated[
    Annotated[_Value, Tag("<text>")] | Annotated[ValuePattern, Tag("<pattern>")],
    # Tags in angle brackets cannot be field names; they are left out of the name of an invalid field.
    Discriminator(lambda given: "<pattern>" if isinstance(given, dict | ValuePattern) else "<text>"),
]


class NewWindow(RequestModel):
    """A maintenance window. It covers the alerts of the given services and groups that match `match`."""

    name: WindowName
    services: Annotated[
        tuple[_ServiceName, ...],
        Field(max_length=MOST_NAMES, description="Services it covers, by inventory host or logical service name."),
    ] = ()
    groups: Annotated[
        tuple[Name, ...], Field(max_length=MOST_NAMES, description="Inventory groups whose services it covers.")
    ] = ()
    match: Annotated[
        dict[_Label, _Wanted],
        Field(
            default={},
            max_length=50,
            # Otherwise the schema would allow any value for an invalid label name.
            json_schema_extra={"additionalProperties": False},
            description='Only alerts with these labels; a pattern is `{"regex": "…"}`.',
        ),
    ]
    begins: Annotated[
        _Time | None,
        Field(alias="from", description="Start time, such as 2026-03-01T02:00:00Z; default: now."),
    ] = None
    ends: Annotated[_Time | None, Field(alias="to", description="End time; alternatively give `seconds`.")] = None
    seconds: Annotated[
        Annotated[int, Field(ge=1, le=int(LONGEST.total_seconds())), WHOLE_NUMBER] | None,
        Field(description="Duration, instead of `to`."),
    ] = None
    timezone: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*$",
            max_length=64,
            description="Time zone of times without an offset, and of the recurrence.",
        ),
    ] = "UTC"
    rrule: Annotated[_Rule | None, Field(description="Recurrence rule of RFC 5545, such as FREQ=WEEKLY;BYDAY=SU.")] = (
        None
    )
    reason: Annotated[_Reason | None, Field(description="Added to the timelines of covered incidents.")] = None

    def window(self, now: datetime) -> MaintenanceWindow:
        """The window with defaults applied. Raises `Unprocessable` naming the invalid fields."""
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
            raise Unprocessable("The window is invalid and was not added.", fields=wrong) from None


def _after(begins: str, seconds: int) -> str:
    """When a window ends. If `begins` is not a time, any value will do: the validation reports `begins`."""
    try:
        return (datetime.fromisoformat(begins) + timedelta(seconds=seconds)).isoformat()
    except (ValueError, OverflowError):
        return begins


class WindowResponse(ResponseModel):
    """A maintenance window, and when it is open or opens next."""

    name: str
    services: list[str]
    groups: list[str]
    match: dict[str, Any]
    first_begins: Annotated[str, Field(alias="from", description="Start of its first occurrence, as it was given.")]
    first_ends: Annotated[str, Field(alias="to", description="End of its first occurrence.")]
    timezone: str
    rrule: str | None
    reason: str | None
    origin: Annotated[
        WindowOrigin, Field(description="`command`: added by API or command; `inventory`: by the policy.")
    ]
    state: WindowState
    begins: Annotated[datetime | None, Field(description="Start of the current or next occurrence.")]
    ends: datetime | None
    ended_at: Annotated[datetime | None, Field(description="When it was ended early.")]
    actor: Annotated[str | None, Field(description="Who added or ended it.")]


class WindowList(Listing[WindowResponse]):
    """A page of the list of maintenance windows."""


def show_window(known: KnownWindow, now: datetime) -> WindowResponse:
    span = known.span_at(now)
    values = {
        **known.window.model_dump(mode="json"),
        "origin": known.origin,
        "state": state_of(span, now),
        "begins": span.begins if span else None,
        "ends": span.ends if span else None,
        "ended_at": known.ended_at,
        "actor": known.actor,
    }
    return WindowResponse.model_validate(values)
