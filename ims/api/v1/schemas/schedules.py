"""On-call schedules, their shifts and overrides, as in the API and in `ims oncall … --json`."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from ims.api.fields import Moment
from ims.api.v1.schemas.people import UserName
from ims.core.errors import FieldError, Unprocessable
from ims.core.schemas import Listing, RequestModel, ResponseModel
from ims.core.validation import LINE_SCHEMA, one_line
from ims.oncall.models import StoredOverride
from ims.oncall.queries import CurrentOnCall
from ims.oncall.usecases import REASON_LENGTH
from ims.policy.parts import NAME_LENGTH
from ims.policy.rotations import Shift
from ims.policy.schedules import Schedule
from ims.policy.windows import EARLIEST_YEAR, LATEST_YEAR

SHOWN: Final = timedelta(days=28)
LONGEST_SHOWN: Final = timedelta(days=92)

ScheduleName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9.-]*$",
        max_length=NAME_LENGTH,
        description="The schedule's name: a-z, 0-9, dots and hyphens.",
        examples=["payments"],
    ),
]
_Reason = Annotated[
    str, Field(max_length=REASON_LENGTH, json_schema_extra=LINE_SCHEMA, description="Why."), AfterValidator(one_line)
]


class ShiftQuery(RequestModel):
    """The time of the shown shifts."""

    since: Annotated[Moment | None, Field(description="Shifts from this time on, RFC 3339; default: now.")] = None
    until: Annotated[
        Moment | None, Field(description="Shifts before this time; default: 28 days later, at most 92 days later.")
    ] = None

    def span(self, now: datetime) -> tuple[datetime, datetime]:
        """The time with defaults applied. Raises `Unprocessable`."""
        since = self.since or now
        if not EARLIEST_YEAR < since.year < LATEST_YEAR:
            wrong = f"must be between the years {EARLIEST_YEAR} and {LATEST_YEAR}"
            raise Unprocessable(fields=[FieldError("since", wrong)])
        until = self.until or since + SHOWN
        if not timedelta() < until - since <= LONGEST_SHOWN:
            wrong = f"must be later than `since`, by at most {LONGEST_SHOWN.days} days"
            raise Unprocessable(fields=[FieldError("until", wrong)])
        return since, until


class ShiftResponse(ResponseModel):
    """A time in which one person is on call, or nobody."""

    person: Annotated[str | None, Field(description="Account; null in a gap, in which nobody is on call.")]
    begins: datetime
    ends: Annotated[datetime, Field(description="The next shift begins at this time.")]
    layer: Annotated[str | None, Field(description="Layer of the schedule; null for an override and for a gap.")]
    override: Annotated[int | None, Field(description="Id of the override, if it is one.")]


class OnCallResponse(ResponseModel):
    """Who is on call by a schedule."""

    schedule: str
    team: str | None
    person: Annotated[str | None, Field(description="Account; null if nobody is on call.")]
    begins: Annotated[datetime, Field(description="When the shift began.")]
    ends: datetime
    override: Annotated[int | None, Field(description="Id of the override, if it is one.")]
    following: Annotated[ShiftResponse | None, Field(description="The next shift of somebody else.")]


class OnCallList(Listing[OnCallResponse]):
    """A page of the list of who is on call."""


class OverrideResponse(ResponseModel):
    """A person who takes the place of whoever is on call."""

    id: int
    schedule: str
    person: str
    begins: Annotated[datetime, Field(alias="from")]
    ends: Annotated[datetime, Field(alias="to")]
    reason: str
    swapped_with: Annotated[str | None, Field(description="Whose shift it was, if two people swapped shifts.")]
    actor: Annotated[str, Field(description="Who added it.")]


class SwapResponse(ResponseModel):
    """The two overrides that swap two shifts."""

    overrides: list[OverrideResponse]


class ScheduleResponse(ResponseModel):
    """An on-call schedule."""

    name: str
    team: str | None
    description: str | None
    timezone: str
    people: Annotated[list[str], Field(description="Everybody in its layers.")]


class ScheduleList(Listing[ScheduleResponse]):
    """A page of the list of schedules."""


class ScheduleDetail(ScheduleResponse):
    """An on-call schedule with its shifts."""

    layers: Annotated[list[dict[str, Any]], Field(description="The layers as the policy describes them.")]
    shifts: Annotated[list[ShiftResponse], Field(description="In order and without a hole: gaps have no person.")]
    overrides: list[OverrideResponse]


class OverrideRequest(RequestModel):
    """A person who takes the place of whoever is on call."""

    person: UserName
    begins: Annotated[Moment | None, Field(alias="from", description="RFC 3339; default: now.")] = None
    ends: Annotated[Moment, Field(alias="to", description="RFC 3339; at most 92 days later.")]
    reason: _Reason = ""


class SwapRequest(RequestModel):
    """Two times: the people on call at these times swap their shifts."""

    first: Annotated[Moment, Field(description="A time in the one shift, RFC 3339.")]
    second: Annotated[Moment, Field(description="A time in the other shift.")]


def show_shift(shift: Shift) -> ShiftResponse:
    return ShiftResponse.model_validate(shift)


def show_on_call(current: CurrentOnCall) -> OnCallResponse:
    shift, following = current.now.shift, current.now.following
    return OnCallResponse(
        schedule=current.schedule.name,
        team=current.schedule.team,
        person=shift.person,
        begins=shift.begins,
        ends=shift.ends,
        override=shift.override,
        following=show_shift(following) if following else None,
    )


def show_override(stored: StoredOverride) -> OverrideResponse:
    shown = {name: getattr(stored, name) for name in ("id", "schedule", "person", "reason", "swapped_with", "actor")}
    return OverrideResponse.model_validate({**shown, "from": stored.begins, "to": stored.ends})


def show_schedule(schedule: Schedule) -> ScheduleResponse:
    return ScheduleResponse.model_validate(schedule)


def show_detail(schedule: Schedule, shifts: list[Shift], overrides: list[OverrideResponse]) -> ScheduleDetail:
    return ScheduleDetail(
        **show_schedule(schedule).model_dump(),
        layers=[layer.model_dump(mode="json") for layer in schedule.layers],
        shifts=[show_shift(shift) for shift in shifts],
        overrides=overrides,
    )
