"""The dead letters of the REST API."""

from typing import Annotated, Final

from pydantic import Field

from ims.alerts.dead_letters import Wanted, drop, find_rejected, rejected_one, retry
from ims.alerts.notifications import RejectReason
from ims.api.fields import Id
from ims.api.listing import PageQuery
from ims.api.operations import Group
from ims.api.v1.schemas.alerts import DeadLetterResponse, RejectedList, RetryResponse, show_rejected
from ims.core.errors import Unprocessable
from ims.http.authentication import use_case
from ims.http.resources import transaction
from ims.incidents.inputs import Name

api: Final = Group("Dead letters", "What sources sent and nobody could read: look through it, try again, drop it.")


class RejectedQuery(PageQuery):
    """Which dead letters."""

    source: Annotated[Name, Field(description="Only of this one.")] = ""
    reason: Annotated[RejectReason | None, Field(description="Only for this reason.")] = None


@api.get("/dead-letters", answers=RejectedList, raises=(Unprocessable,), example_query="limit=20")
def list_rejected(query: RejectedQuery) -> RejectedList:
    """List dead letters.

    Newest first, a page at a time.
    """
    wanted = Wanted(source=query.source or None, reason=query.reason)
    with transaction() as session:
        found = find_rejected(session, wanted, query.limit + 1, query.before)
    return query.page(RejectedList, found, lambda rejected: rejected.id, show_rejected)


@api.get("/dead-letters/{rejected_id}", answers=DeadLetterResponse)
def one_rejected(rejected_id: Id) -> DeadLetterResponse:
    """Read a dead letter.

    With what was sent, and why it could not be accepted.
    """
    with transaction() as session:
        return show_rejected(rejected_one(session, rejected_id))


@api.post("/dead-letters/{rejected_id}/retry", answers=RetryResponse)
def retry_rejected(rejected_id: Id) -> RetryResponse:
    """Try a dead letter again.

    It is read as it would be read today. If it is taken, it is no longer rejected; else it stays.
    """
    with use_case() as context:
        return RetryResponse.model_validate(retry(context, rejected_id))


@api.delete("/dead-letters/{rejected_id}", status=204)
def drop_rejected(rejected_id: Id) -> None:
    """Drop a dead letter.

    It is gone for good.
    """
    with use_case() as context:
        drop(context, [rejected_id])
