"""REST API: incidents."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BeforeValidator, ConfigDict, Field

from ims.api.fields import READ_NUMBER, Cursor, Limit, Since, Until, one_or_many
from ims.api.operations import Answer, Group
from ims.api.rest import wanted_version
from ims.api.v1.schemas.incidents import (
    IncidentDetails,
    IncidentList,
    IncidentMetrics,
    IncidentResponse,
    Timeline,
    measure,
    read_details,
    show,
    show_event,
)
from ims.core.errors import Conflict, FieldError, Stale, Unprocessable
from ims.core.paging import decode_cursor, encode_cursor
from ims.core.schemas import Changes, RequestModel
from ims.http.authentication import use_case
from ims.http.resources import transaction
from ims.incidents import usecases
from ims.incidents.idempotency import KeyUsedDifferently
from ims.incidents.inputs import KnownSeverity, Name, NewIncident, Text, Title
from ims.incidents.models import Incident, Status
from ims.incidents.permissions import NotYourIncident
from ims.incidents.queries import (
    UNRESOLVED,
    Filters,
    Position,
    Sort,
    find_incident,
    list_incidents,
    timeline_of,
)

api: Final = Group("Incidents", "Open, list, change and resolve incidents.")

Reference = Annotated[
    str,
    Field(
        pattern=r"^(?:(?:INC-)?[1-9][0-9]{0,17}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$",
        description="INC-42, 42, or the incident's id.",
        examples=["INC-1"],
    ),
]


class WantedStatus(StrEnum):
    """A status of an incident; `unresolved` means every status except resolved."""

    OPEN = Status.OPEN.value
    ACKNOWLEDGED = Status.ACKNOWLEDGED.value
    IN_PROGRESS = Status.IN_PROGRESS.value
    RESOLVED = Status.RESOLVED.value
    UNRESOLVED = "unresolved"


_Statuses = Annotated[
    tuple[WantedStatus, ...],
    BeforeValidator(one_or_many),
    Field(
        description="Only with this status; repeatable. `unresolved`: all except resolved.", examples=[["unresolved"]]
    ),
]
_Only = Annotated[Name, Field(description="Only incidents with this value.")]


class IncidentQuery(RequestModel):
    """Filters and order of the list of incidents."""

    status: _Statuses = ()
    service: _Only = ""
    environment: _Only = ""
    severity: Annotated[KnownSeverity | None, Field(description="Only of this severity.")] = None
    assignee: _Only = ""
    team: _Only = ""
    search: Annotated[
        Name, Field(description="Only incidents whose title, description or notes contain all of these words.")
    ] = ""
    since: Since = None
    until: Until = None
    sort: Annotated[Sort, Field(description="By opening time.")] = Sort.NEWEST
    limit: Limit = 50
    cursor: Cursor = None

    @property
    def filters(self) -> Filters:
        """The filters for the query of the list."""
        named = {Status(status) for status in self.status if status is not WantedStatus.UNRESOLVED}
        if WantedStatus.UNRESOLVED in self.status:
            named |= set(UNRESOLVED)
        return Filters(
            statuses=tuple(status for status in Status if status in named),
            service=self.service,
            environment=self.environment,
            severity=self.severity or "",
            assignee=self.assignee,
            team=self.team,
            search=self.search,
            since=self.since,
            until=self.until,
        )


class IncidentOpening(NewIncident):
    """A new incident."""

    # A form may have more fields; an unknown field from a program is a typing mistake.
    model_config = ConfigDict(extra="forbid")


class OpeningHeaders(RequestModel):
    """Headers for opening an incident."""

    idempotency_key: Annotated[
        str | None,
        Field(
            alias="Idempotency-Key",
            min_length=1,
            max_length=128,
            pattern=r"^[!-~]+$",
            description="A unique key for the request. Repeated within a day, it returns the incident that it opened.",
            examples=["backup-2026-03-01"],
        ),
    ] = None


class ChangingHeaders(RequestModel):
    """Headers for changing an incident."""

    if_match: Annotated[
        str | None,
        Field(
            alias="If-Match",
            pattern=r'^(\*|(W/)?"?[0-9]{1,9}"?)$',
            description="The incident's ETag. The change fails with 412 if the incident has changed since.",
        ),
    ] = None


class TimelineQuery(RequestModel):
    """Part of a timeline."""

    after: Annotated[int, Field(ge=0, le=999_999_999, description="`seq` of the last event you have."), READ_NUMBER] = 0
    limit: Limit = 100


class IncidentChanges(Changes):
    """Fields to change; omitted fields keep their values. An empty assignee or team removes it."""

    status: Annotated[
        Status | None,
        Field(description="The new status: acknowledged, in_progress or resolved.", examples=["acknowledged"]),
    ] = None
    title: Title | None = None
    description: Annotated[Text | None, Field(description="Markdown.")] = None
    severity: KnownSeverity | None = None
    assignee: Annotated[Name | None, Field(description="Name of an account; empty unassigns.")] = None
    team: Annotated[Name | None, Field(description="A known team that owns the incident; empty: no team.")] = None
    note: Annotated[
        Text | None,
        Field(description="Added to the timeline; with `resolved`, what was done. Markdown."),
    ] = None

    @property
    def fields(self) -> dict[str, str]:
        """The fields to edit, with their new values."""
        named = self.model_fields_set & {"title", "description", "severity", "assignee", "team"}
        return {name: value for name in sorted(named) if (value := getattr(self, name)) is not None}


@api.post(
    "/incidents",
    answers=IncidentResponse,
    status=201,
    also={200: "An earlier request with the same Idempotency-Key has opened it."},
    raises=(Unprocessable, KeyUsedDifferently),
    example={"title": "Backups are late", "severity": "medium", "description": "The last one is *two days* old."},
)
def create(body: IncidentOpening, headers: OpeningHeaders) -> Answer:
    """Open an incident.

    Environment, team and runbook default to those of the service in the inventory. With an Idempotency-Key, a repeated
    request opens no second incident.
    """
    with use_case() as context:
        opened = usecases.open_incident(context, body, idempotency_key=headers.idempotency_key)
    return _answer(opened.incident, status=201 if opened.is_new else 200)


@api.get("/incidents", answers=IncidentList, raises=(Unprocessable,), example_query="status=unresolved&limit=20")
def list_all(query: IncidentQuery) -> IncidentList:
    """List incidents.

    Newest first, paginated. Filters are combined with AND. A search for words that are common, but rarely occur
    together, can return a page that is not full, or empty, before the last page: the list ends only when `next` is
    null.
    """
    filters = query.filters
    with transaction() as session:
        page = list_incidents(
            session, filters, sort=query.sort, limit=query.limit, after=_position(query.cursor, filters, query.sort)
        )
    return IncidentList(
        items=[show(incident) for incident in page.rows],
        next=encode_cursor(page.next.texts, _bound_to(filters, query.sort)) if page.next else None,
    )


def _bound_to(filters: Filters, sort: Sort) -> list[str]:
    return [repr(filters), sort.value]


def _position(cursor: str | None, filters: Filters, sort: Sort) -> Position | None:
    if not cursor:
        return None
    try:
        return Position.read(decode_cursor(cursor, _bound_to(filters, sort)))
    except ValueError as error:
        raise Unprocessable(fields=[FieldError("cursor", "is invalid: start with the first page")]) from error


@api.get("/incidents/{reference}", answers=IncidentDetails, also={304: "Not changed since If-None-Match."})
def one(reference: Reference) -> Answer:
    """Get an incident.

    Includes its alerts, notes, runs, denials and timeline. The ETag is its version.
    """
    with transaction() as session:
        incident = find_incident(session, reference)
        details = read_details(session, incident)
    return Answer(details, etag=str(incident.version))


@api.patch(
    "/incidents/{reference}",
    answers=IncidentResponse,
    raises=(NotYourIncident, Conflict, Stale, Unprocessable),
    example={"severity": "high", "note": "The disk of the backup host is *full*."},
)
def change(reference: Reference, body: IncidentChanges, headers: ChangingHeaders) -> Answer:
    """Change an incident.

    Changes the status, edits fields and adds a note, in one transaction. A status change that the current status does
    not allow fails with 409, which lists the allowed ones. Only its team, its assignee and administrators can change an
    incident; any responder can change one without a team.
    """
    with use_case() as context:
        incident = usecases.change(
            context, reference, body.fields, status=body.status, note=body.note or "",
            version=wanted_version(headers.if_match),
        )  # fmt: skip
    return Answer(show(incident), etag=str(incident.version))


@api.get("/incidents/{reference}/timeline", answers=Timeline)
def timeline(reference: Reference, query: TimelineQuery) -> Timeline:
    """Get the timeline of an incident.

    Events in order, starting after event `after`. `next` is the `after` of the next request.
    """
    with transaction() as session:
        incident = find_incident(session, reference)
        events = timeline_of(session, incident.id, after=query.after, limit=query.limit)
    more = bool(events) and events[-1].seq < incident.last_seq
    return Timeline(items=[show_event(event) for event in events], next=str(events[-1].seq) if more else None)


@api.get("/incidents/{reference}/metrics", answers=IncidentMetrics)
def metrics(reference: Reference) -> IncidentMetrics:
    """Get the metrics of an incident.

    Time to acknowledge, to heal and to resolve, in seconds.
    """
    with transaction() as session:
        return measure(find_incident(session, reference))


def _answer(incident: Incident, *, status: int) -> Answer:
    location = {"Location": f"/api/v1/incidents/INC-{incident.number}"}
    return Answer(show(incident), status=status, headers=location, etag=str(incident.version))
