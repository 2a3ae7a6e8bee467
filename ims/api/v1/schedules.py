"""REST API: on-call schedules, and who is on call."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from ims.accounts.people.inputs import TEAM_LENGTH
from ims.api.fields import Id
from ims.api.listing import PageQuery
from ims.api.operations import Group
from ims.api.v1.schemas.schedules import (
    OnCallList,
    OverrideRequest,
    OverrideResponse,
    ScheduleDetail,
    ScheduleList,
    ScheduleName,
    ShiftQuery,
    SwapRequest,
    SwapResponse,
    show_detail,
    show_on_call,
    show_override,
    show_schedule,
)
from ims.core.errors import Conflict, Unprocessable
from ims.core.validation import LINE_SCHEMA, one_line
from ims.http.authentication import use_case
from ims.http.resources import clock, transaction
from ims.oncall.queries import all_schedules, current_on_call, schedule_named, shifts_of, stored_overrides
from ims.oncall.usecases import NewOverride, cancel_override, override, swap

api: Final = Group(
    "On call",
    "Who is on call: the schedules of the policy, their shifts, and the overrides and swaps that people make.",
)


class OnCallQuery(PageQuery):
    """Filters of the list of who is on call."""

    team: Annotated[
        Annotated[str, Field(max_length=TEAM_LENGTH, json_schema_extra=LINE_SCHEMA), AfterValidator(one_line)] | None,
        Field(description="Only schedules of this team."),
    ] = None


@api.get("/oncall/current", answers=OnCallList, raises=(Unprocessable,), example_query="team=payments")
def current(query: OnCallQuery) -> OnCallList:
    """List who is on call now.

    One item for each schedule, by name, paginated; `person` is null in a gap.
    """
    after = query.after
    with transaction() as session:
        found = current_on_call(session, clock(), query.team)
    left = [one for one in found if one.schedule.name > after]
    return query.page(OnCallList, left, lambda one: one.schedule.name, show_on_call)


@api.get("/schedules", answers=ScheduleList, raises=(Unprocessable,))
def list_all(query: PageQuery) -> ScheduleList:
    """List on-call schedules.

    The schedules of the active policy by name, paginated.
    """
    after = query.after
    with transaction() as session:
        left = [one for one in all_schedules(session) if one.name > after]
    return query.page(ScheduleList, left, lambda one: one.name, show_schedule)


@api.get("/schedules/{name}", answers=ScheduleDetail, raises=(Unprocessable,))
def one(name: ScheduleName, query: ShiftQuery) -> ScheduleDetail:
    """Get an on-call schedule.

    Includes its shifts with their handoffs, and its overrides. Gaps are shifts without a person.
    """
    since, until = query.span(clock())
    with transaction() as session:
        schedule = schedule_named(session, name)
        overrides = [show_override(stored) for stored in stored_overrides(session, name, since, until)]
        return show_detail(schedule, shifts_of(session, schedule, since, until), overrides)


@api.post(
    "/schedules/{name}/overrides",
    answers=OverrideResponse,
    status=201,
    raises=(Unprocessable,),
    example={"person": "bob", "from": "2030-12-24T08:00:00Z", "to": "2030-12-26T08:00:00Z", "reason": "Holidays"},
)
def add_override(name: ScheduleName, body: OverrideRequest) -> OverrideResponse:
    """Override an on-call schedule.

    A person takes the place of whoever is on call, also in gaps. Of overrides that overlap, the newest counts. For
    members of the schedule's team and administrators.
    """
    with use_case() as context:
        wanted = NewOverride(body.person, body.begins or context.now, body.ends, body.reason)
        return show_override(override(context, name, wanted))


@api.delete("/schedules/{name}/overrides/{override}", status=204)
def remove_override(name: ScheduleName, override: Id) -> None:
    """Cancel an override.

    An override that has begun ends now.
    """
    with use_case() as context:
        cancel_override(context, name, override)


@api.post(
    "/schedules/{name}/swaps",
    answers=SwapResponse,
    status=201,
    raises=(Conflict, Unprocessable),
    example={"first": "2030-12-24T08:00:00Z", "second": "2030-12-31T08:00:00Z"},
)
def add_swap(name: ScheduleName, body: SwapRequest) -> SwapResponse:
    """Swap two shifts.

    The people who are on call at the two times take each other's shifts. A shift that has begun is swapped from now on.
    """
    with use_case() as context:
        made = swap(context, name, body.first, body.second)
        return SwapResponse(overrides=[show_override(stored) for stored in made])
