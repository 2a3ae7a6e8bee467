"""REST API: decisions."""

from typing import Annotated, Final

from pydantic import Field

from ims.api.fields import MOST_ID, READ_NUMBER, Cursor, Limit, Since, Until
from ims.api.operations import Group
from ims.api.v1.schemas.decisions import DecisionList, DecisionResponse, render_decision
from ims.core.errors import Unprocessable
from ims.core.paging import cut, number_in
from ims.core.schemas import RequestModel
from ims.healing.models import DecisionOutcome
from ims.healing.queries import DecisionFilters, decision_listed, list_decisions
from ims.http.resources import transaction
from ims.incidents.inputs import Name

api: Final = Group("Decisions", "Why a run started or not: the facts at that time, and the result of each guard.")

Reference = Annotated[str, Field(pattern=r"^(?:D-)?[1-9][0-9]{0,17}$", description="D-12 or 12.", examples=["D-1"])]


class DecisionQuery(RequestModel):
    """Filters of the list of decisions."""

    incident: Annotated[
        str,
        Field(
            pattern=r"^(?:(?:INC-)?[1-9][0-9]{0,17})?$",
            description="Only about this incident: INC-42 or 42.",
            examples=["INC-1"],
        ),
    ] = ""
    episode: Annotated[
        int | None, Field(ge=1, le=MOST_ID, description="Only about this episode, one firing of an alert."), READ_NUMBER
    ] = None
    rule: Annotated[Name, Field(description="Only with this healing rule.")] = ""
    outcome: Annotated[DecisionOutcome | None, Field(description="Only with this outcome.")] = None
    reason: Annotated[Name, Field(description="Only with this reason, such as `cooldown`.")] = ""
    since: Since = None
    until: Until = None
    limit: Limit = 50
    cursor: Cursor = None


@api.get("/decisions", answers=DecisionList, raises=(Unprocessable,), example_query="outcome=denied&limit=20")
def list_all(query: DecisionQuery) -> DecisionList:
    """List decisions.

    Ordered by when each was first made, newest first, and paginated; `since` and `until` refer to that time. Filters
    are combined with AND.
    """
    filters = DecisionFilters(
        incident=int(query.incident.removeprefix("INC-") or 0),
        episode=query.episode or 0,
        rule=query.rule,
        outcome=query.outcome,
        reason=query.reason,
        since=query.since,
        until=query.until,
    )
    bound_to = [repr(filters)]
    with transaction() as session:
        found = list_decisions(session, filters, limit=query.limit + 1, before=number_in(query.cursor, bound_to))
        rows, following = cut(found, query.limit, lambda listed: listed.decision.id, bound_to)
        return DecisionList(items=[render_decision(listed) for listed in rows], next=following)


@api.get("/decisions/{reference}", answers=DecisionResponse)
def one(reference: Reference) -> DecisionResponse:
    """Get a decision.

    Includes its outcome, the facts it was based on, and the result of each guard.
    """
    with transaction() as session:
        return render_decision(decision_listed(session, int(reference.removeprefix("D-"))))
