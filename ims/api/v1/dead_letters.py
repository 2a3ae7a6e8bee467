"""The rejected alerts of the REST API."""

from typing import Annotated, Final

from pydantic import Field

from ims.alerts.dead_letters import GONE, Wanted, drop, find_rejected, rejected_one, retry
from ims.alerts.notifications import RejectReason
from ims.api.fields import Cursor, Id, Limit
from ims.api.operations import Group
from ims.api.v1.schemas.alerts import RejectedList, RejectedShown, RetriedShown, show_rejected
from ims.core.errors import NotFound, Unprocessable
from ims.core.paging import cut, number_in
from ims.core.schemas import Given
from ims.http.authentication import origin
from ims.http.resources import clock, transaction
from ims.incidents.inputs import Name

api: Final = Group("Rejected alerts", "What sources sent and nobody could read: look through it, try again, drop it.")


class RejectedQuery(Given):
    """Which rejected alerts."""

    source: Annotated[Name, Field(description="Only of this one.")] = ""
    reason: Annotated[RejectReason | None, Field(description="Only for this reason.")] = None
    limit: Limit = 50
    cursor: Cursor = None


@api.get("/rejected-alerts", answers=RejectedList, raises=(Unprocessable,), example_query="limit=20")
def list_rejected(query: RejectedQuery) -> RejectedList:
    """List rejected alerts.

    Newest first, a page at a time.
    """
    wanted = Wanted(source=query.source or None, reason=query.reason)
    bound_to = [repr(wanted)]
    with transaction() as session:
        found = find_rejected(session, wanted, query.limit + 1, number_in(query.cursor, bound_to))
    rows, following = cut(found, query.limit, lambda rejected: rejected.id, bound_to)
    return RejectedList(items=[show_rejected(rejected) for rejected in rows], next=following)


@api.get("/rejected-alerts/{rejected_id}", answers=RejectedShown)
def one_rejected(rejected_id: Id) -> RejectedShown:
    """Read a rejected alert.

    With what was sent, and why it could not be accepted.
    """
    with transaction() as session:
        return show_rejected(rejected_one(session, rejected_id))


@api.post("/rejected-alerts/{rejected_id}/retry", answers=RetriedShown)
def retry_rejected(rejected_id: Id) -> RetriedShown:
    """Try a rejected alert again.

    It is read as it would be read today. If it is taken, it is no longer rejected; else it stays.
    """
    with transaction() as session:
        retried = retry(session, rejected_id, origin(), clock())
    if retried.result == GONE:
        raise NotFound(f"There is no rejected alert {rejected_id}.")
    return RetriedShown.model_validate(retried)


@api.delete("/rejected-alerts/{rejected_id}", status=204)
def drop_rejected(rejected_id: Id) -> None:
    """Drop a rejected alert.

    It is gone for good.
    """
    with transaction() as session:
        if not drop(session, [rejected_id], origin(), clock()):
            raise NotFound(f"There is no rejected alert {rejected_id}.")
