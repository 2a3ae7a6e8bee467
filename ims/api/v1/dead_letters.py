"""REST API: dead letters."""

from typing import Annotated, Final

from pydantic import Field

from ims.alerts import dead_letters as usecases
from ims.alerts.dead_letters import Wanted, get_dead_letter, list_dead_letters
from ims.alerts.notifications import RejectReason
from ims.api.fields import Id
from ims.api.listing import PageQuery
from ims.api.operations import Group
from ims.api.v1.schemas.alerts import DeadLetterList, DeadLetterResponse, RetryResponse, show_dead_letter
from ims.core.errors import Unprocessable
from ims.http.authentication import use_case
from ims.http.resources import transaction
from ims.incidents.inputs import Name

api: Final = Group("Dead letters", "Alerts that could not be processed: list, retry and drop them.")


class DeadLetterQuery(PageQuery):
    """Filters of the list of dead letters."""

    source: Annotated[Name, Field(description="Only from this source.")] = ""
    reason: Annotated[RejectReason | None, Field(description="Only with this reason.")] = None


@api.get("/dead-letters", answers=DeadLetterList, raises=(Unprocessable,), example_query="limit=20")
def list_all(query: DeadLetterQuery) -> DeadLetterList:
    """List dead letters.

    Newest first, paginated.
    """
    wanted = Wanted(source=query.source or None, reason=query.reason)
    with transaction() as session:
        found = list_dead_letters(session, wanted, query.limit + 1, query.before)
    return query.page(DeadLetterList, found, lambda letter: letter.id, show_dead_letter)


@api.get("/dead-letters/{dead_letter_id}", answers=DeadLetterResponse)
def one(dead_letter_id: Id) -> DeadLetterResponse:
    """Get a dead letter.

    Includes the body as it was sent, and why it could not be processed.
    """
    with transaction() as session:
        return show_dead_letter(get_dead_letter(session, dead_letter_id))


@api.post("/dead-letters/{dead_letter_id}/retry", answers=RetryResponse)
def retry(dead_letter_id: Id) -> RetryResponse:
    """Retry a dead letter.

    Processes it again with the current parsers and source. If that succeeds, the dead letter is removed; otherwise it
    stays.
    """
    with use_case() as context:
        return RetryResponse.model_validate(usecases.retry(context, dead_letter_id))


@api.delete("/dead-letters/{dead_letter_id}", status=204)
def drop(dead_letter_id: Id) -> None:
    """Delete a dead letter.

    This cannot be undone.
    """
    with use_case() as context:
        usecases.drop(context, [dead_letter_id])
