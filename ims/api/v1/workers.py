"""REST API: workers."""

from typing import Final

from ims.api.fields import Cursor, Limit
from ims.api.operations import Group
from ims.api.v1.schemas.workers import WorkerList, list_of
from ims.core.errors import Unprocessable
from ims.core.paging import cut, name_in
from ims.core.schemas import RequestModel
from ims.http.resources import transaction
from ims.workers.queries import list_workers, unserved_pools

api: Final = Group("Workers", "Workers, the current leader, and pools that no worker serves.")


class WorkerQuery(RequestModel):
    """Page of the list of workers."""

    limit: Limit = 50
    cursor: Cursor = None


@api.get("/workers", answers=WorkerList, raises=(Unprocessable,))
def list_all(query: WorkerQuery) -> WorkerList:
    """List workers.

    By id, paginated: live workers, and workers that were lost within the last hour.
    """
    after = name_in(query.cursor, []) or ""
    with transaction() as session:
        known = list_workers(session)
        waiting = unserved_pools(session, known)
    rows, following = cut([one for one in known if one.row.id > after], query.limit, lambda one: one.row.id, [])
    return list_of(rows, following, waiting)
