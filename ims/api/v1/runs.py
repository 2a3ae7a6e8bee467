"""REST API: runs."""

from typing import Annotated, Final

from pydantic import Field

from ims.api.fields import MOST_COUNTED, READ_NUMBER, Cursor, Limit
from ims.api.operations import Group, Stream
from ims.api.v1.schemas.runs import RunEventResponse, RunList, RunLog, RunResponse, show_run
from ims.core.errors import Unprocessable
from ims.core.paging import cut, number_in
from ims.core.schemas import RequestModel
from ims.http.resources import database, transaction
from ims.incidents.inputs import Name
from ims.runs.log_text import plain_log
from ims.runs.models import ACTIVE, RunOutcome, RunStatus
from ims.runs.queries import RunFilters, events_after, list_runs, run_by_name, run_listed

api: Final = Group("Runs", "Executions of playbooks, their outcomes and their logs.")

Reference = Annotated[
    str,
    Field(
        pattern=r"^(?:(?:R-)?[1-9][0-9]{0,17}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$",
        description="R-7, 7, or the run's id.",
        examples=["R-1"],
    ),
]


class RunQuery(RequestModel):
    """Filters of the list of runs."""

    status: Annotated[RunStatus | None, Field(description="Only with this playbook status.")] = None
    outcome: Annotated[
        RunOutcome | None, Field(description="Only with this outcome, such as `healed` or `verifying`.")
    ] = None
    target: Annotated[Name, Field(description="Only on this inventory host.")] = ""
    rule: Annotated[Name, Field(description="Only of this healing rule.")] = ""
    incident: Annotated[
        str,
        Field(
            pattern=r"^(?:(?:INC-)?[1-9][0-9]{0,17})?$",
            description="Only of this incident: INC-42 or 42.",
            examples=["INC-1"],
        ),
    ] = ""
    kind: Annotated[Name, Field(description="Only of this kind, such as `heal`.")] = ""
    limit: Limit = 50
    cursor: Cursor = None


class LogQuery(RequestModel):
    """Part of a log."""

    after: Annotated[
        int, Field(ge=0, le=MOST_COUNTED, description="`counter` of the last line you have."), READ_NUMBER
    ] = 0
    limit: Limit = 100


@api.get("/runs", answers=RunList, raises=(Unprocessable,), example_query="target=checkout&limit=20")
def list_all(query: RunQuery) -> RunList:
    """List runs.

    Newest first, paginated. Filters are combined with AND.
    """
    filters = RunFilters(
        status=query.status,
        outcome=query.outcome,
        target=query.target,
        rule=query.rule,
        incident=int(query.incident.removeprefix("INC-") or 0),
        kind=query.kind,
    )
    bound_to = [repr(filters)]
    with transaction() as session:
        found = list_runs(session, filters, limit=query.limit + 1, before=number_in(query.cursor, bound_to))
    rows, following = cut(found, query.limit, lambda listed: listed.run.number, bound_to)
    return RunList(items=[show_run(listed) for listed in rows], next=following)


@api.get("/runs/{reference}", answers=RunResponse)
def one(reference: Reference) -> RunResponse:
    """Get a run.

    Includes its playbook, target, outcome, reason and verification.
    """
    with transaction() as session:
        return show_run(run_listed(session, reference))


@api.get("/runs/{reference}/log", answers=RunLog)
def log(reference: Reference, query: LogQuery) -> RunLog:
    """Get the log of a run.

    Lines in order, starting after line `after`. `next` is the `after` of the next request. To follow a run, poll with
    the `counter` of the last line as `after` while `active` is true.
    """
    with transaction() as session:
        # The outcome is read first: lines stored after that can be missed only while `active` is true.
        run = run_by_name(session, reference)
        events = events_after(session, run.id, query.after, limit=query.limit + 1)
    shown = [RunEventResponse.model_validate(event) for event in events[: query.limit]]
    following = str(shown[-1].counter) if len(events) > query.limit else None
    return RunLog(items=shown, next=following, active=run.outcome in ACTIVE)


@api.get("/runs/{reference}/log.txt", media_type="text/plain")
def log_text(reference: Reference) -> Stream:
    """Get the log of a run as plain text.

    The full log as it was printed, without colours.
    """
    with transaction() as session:
        run_id = run_by_name(session, reference).id
    return Stream(plain_log(database(), run_id))
