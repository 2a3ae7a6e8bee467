"""Pages: the list of incidents, one incident, and the actions on it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from flask import Blueprint, redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from ims.accounts.queries import account_names
from ims.core.context import Context
from ims.core.errors import Conflict, FieldError, Invalid, NotFound
from ims.core.principal import Role
from ims.core.validation import read
from ims.core.wording import web_address
from ims.http.authentication import allow, signed_in, use_case
from ims.http.problems import wants_json
from ims.http.resources import clock, settings, transaction
from ims.incidents import usecases
from ims.incidents.edits import EDITABLE, ChangedMeanwhile, editable
from ims.incidents.inputs import SEVERITIES, Assignment, Closing, Editable, NewIncident, Note
from ims.incidents.models import Incident, Status
from ims.incidents.permissions import require_may_act_on
from ims.incidents.queries import UNRESOLVED, Filters, Sort, find_incident, list_incidents
from ims.reports.overview import draw_lanes, read_overview
from ims.reports.statistics import read_statistics
from ims.runs.ansi import to_plain
from ims.services.queries import known_teams, read_catalogue
from ims.web import live
from ims.web.incident_filters import Listing, next_page, read_listing, status_word
from ims.web.incident_page import IncidentPage, incident_page, rows_of
from ims.web.timeline import text_of

incidents = Blueprint("incidents", __name__)

Answer = Response | tuple[str, int]

PAGE_ROWS = 40
UNRESOLVED_ROWS = 40
RESOLVED_ROWS = 25
"""Both on the overview, which has other panels too: no page is larger than 150 kB."""
UNRESOLVED_ONLY, RESOLVED_ONLY = Filters(UNRESOLVED), Filters((Status.RESOLVED,))
LIST_MOVES_SECONDS = 5
PAGE_MOVES_SECONDS = 2
DAY_MOVES_SECONDS = 60
MOST_CHOICES = 200
MOST_EVENTS_EVER = 2**31 - 1


@incidents.get("/")
@incidents.get("/incidents")
def index() -> Response:
    """The overview (statistics, services, unresolved and resolved incidents), or one filtered list."""
    listing, now = read_listing(request.args), clock()
    return _overview(now) if listing.is_everything else _filtered(listing, now)


def _overview(now: datetime) -> Response:
    with transaction() as session:
        statistics, overview = read_statistics(session, now), read_overview(session, now)
        current = list_incidents(session, UNRESOLVED_ONLY, limit=UNRESOLVED_ROWS)
        past = list_incidents(session, RESOLVED_ONLY, limit=RESOLVED_ROWS)
        rows = rows_of(session, [*current.rows, *past.rows], now)
    grows = any(row.lifeline.is_open for row in rows)
    moments = [live.moment(now, DAY_MOVES_SECONDS), grows and live.moment(now, LIST_MOVES_SECONDS)]

    def render() -> str:
        with transaction() as session:
            lanes = draw_lanes(session, overview.recent, now)
            form = _form(session, Listing(Filters(), Sort.NEWEST, None))
        return render_template(
            "incidents/overview.html",
            statistics=statistics,
            overview=overview,
            lanes=lanes,
            current=rows[: len(current.rows)],
            more_current=_address(next_page(UNRESOLVED_ONLY, Sort.NEWEST, current)),
            past=rows[len(current.rows) :],
            more_past=_address(next_page(RESOLVED_ONLY, Sort.NEWEST, past)),
            **form,
        )

    return live.answer([statistics, overview.state, [row.state for row in rows], moments], render)


def _filtered(listing: Listing, now: datetime) -> Response:
    with transaction() as session:
        statistics = read_statistics(session, now)
        page = list_incidents(session, listing.filters, sort=listing.sort, limit=PAGE_ROWS, after=listing.after)
        rows, form = rows_of(session, page.rows, now), _form(session, listing)
    grows = any(row.lifeline.is_open for row in rows)
    state = [statistics, [row.state for row in rows], form["services"], grows and live.moment(now, LIST_MOVES_SECONDS)]
    return live.answer(
        state,
        lambda: render_template(
            "incidents/list.html",
            statistics=statistics,
            rows=rows,
            more=_address(next_page(listing.filters, listing.sort, page)),
            stopped_at=page.next and page.next.opened_at,
            **form,
        ),
    )


def _form(session: Session, listing: Listing) -> dict[str, object]:
    """Data of the filter form; `choices` are suggested values of the less common filters."""
    services = read_catalogue(session).services
    known = services.values()
    return {
        "choices": {
            "environment": sorted({service.service_environment for service in known}),
            "team": known_teams(session)[:MOST_CHOICES],
            "assignee": account_names(session)[:MOST_CHOICES],
        },
        "listing": listing,
        "filters": listing.filters,
        "chosen": status_word(listing.filters.statuses),
        "services": sorted(services)[:MOST_CHOICES],
        "severities": SEVERITIES,
    }


def _address(parameters: dict[str, str] | None) -> str | None:
    values: dict[str, Any] = dict(parameters or {})
    return url_for("incidents.index", **values) if parameters else None


@incidents.get("/incidents/<reference>")
def one(reference: str) -> Response:
    now, before = clock(), request.args.get("before")
    with transaction() as session:
        page = incident_page(session, reference, now, _number(before, "before") if before else None)
    state = [page.row.state, page.row.lifeline.is_open and live.moment(now, PAGE_MOVES_SECONDS)]
    return live.answer(state, lambda: _incident_page(page))


def _incident_page(page: IncidentPage, **more: object) -> str:
    return render_template(
        "incidents/one.html",
        page=page,
        may_act=signed_in().may_act_on(page.incident.team, page.incident.assignee),
        prometheus=web_address(settings().prometheus_url),
        **more,
    )


@incidents.get("/incidents/<reference>/description.txt")
def description_text(reference: str) -> Response:
    """The description as it was typed."""
    with transaction() as session:
        return _plain(find_incident(session, reference).description)


@incidents.get("/incidents/<reference>/notes/<int:seq>.txt")
def note_text(reference: str, seq: int) -> Response:
    """A note as it was typed; `seq` is the number of its event."""
    if seq > MOST_EVENTS_EVER:
        raise NotFound
    with transaction() as session:
        return _plain(text_of(session, find_incident(session, reference).id, seq))


def _plain(text: str) -> Response:
    return Response(to_plain(text), mimetype="text/plain")


@incidents.get("/incidents/new")
@allow(Role.RESPONDER)
def new() -> str:
    """The form that opens an incident. Its id makes submitting it twice harmless."""
    return _new_form({"severity": "medium", "id": str(uuid4())}, ())


@incidents.post("/incidents/new")
def create() -> Response | tuple[str, int]:
    form = request.form.to_dict()
    try:
        incident_id = _form_id(form.get("id", ""))
        given = read(NewIncident, form)
        with use_case() as context:
            number = usecases.open_incident(context, given, incident_id=incident_id).incident.number
    except Invalid as error:
        return _new_form(form, error.fields), error.status
    return redirect(url_for("incidents.one", reference=f"INC-{number}"))


def _form_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Invalid(fields=[FieldError("id", "is missing: reload the form")]) from error


def _new_form(values: object, wrong: object) -> str:
    with transaction() as session:
        services, whose = sorted(read_catalogue(session).services), _whose(session)
    return render_template(
        "incidents/new.html", values=values, wrong=wrong, services=services, severities=SEVERITIES, **whose
    )


def _whose(session: Session) -> dict[str, list[str]]:
    """The assignees and teams that the forms offer."""
    return {"people": account_names(session), "teams": known_teams(session)}


@incidents.get("/incidents/<reference>/edit")
@allow(Role.RESPONDER)
def edit_form(reference: str) -> str:
    """The form that edits an incident."""
    with transaction() as session:
        incident, whose = _to_act_on(session, reference), _whose(session)
    return _edit_page(incident, whose, editable(incident).model_dump())


@incidents.post("/incidents/<reference>/edit")
def edit(reference: str) -> Response | tuple[str, int]:
    """Edit an incident. If another user has changed a field since, the form shows that and overwrites nothing."""
    form = request.form.to_dict()
    seen: dict[str, Any] = {name: form.get(f"seen_{name}", "") for name in EDITABLE}
    try:
        wanted, before = read(Editable, form), Editable.model_construct(**_unix_lines(seen))
        version = _version(form.get("version", ""))
        with use_case() as context:
            incident = usecases.edit(context, reference, wanted, version=version, seen=before)
    except (Invalid, ChangedMeanwhile) as error:
        with transaction() as session:
            incident, whose = _to_act_on(session, reference), _whose(session)
        stale = isinstance(error, ChangedMeanwhile)
        return _edit_page(incident, whose, form, error.fields, stale=stale), error.status
    return redirect(url_for("incidents.one", reference=f"INC-{incident.number}"))


def _unix_lines(values: dict[str, str]) -> dict[str, Any]:
    """Browsers send line breaks in a textarea as CRLF."""
    return {name: value.replace("\r\n", "\n").strip() for name, value in values.items()}


def _version(text: str) -> int:
    return _number(text, "version", "is missing: reload the form")


def _number(text: str, name: str, remedy: str = "must be the number of an event") -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise Invalid(fields=[FieldError(name, remedy)])
    return int(text)


def _edit_page(
    incident: Incident, whose: dict[str, list[str]], values: object, wrong: object = (), *, stale: bool = False
) -> str:
    return render_template(
        "incidents/edit.html",
        incident=incident,
        seen=editable(incident),
        values=values,
        wrong=wrong,
        stale=stale,
        severities=SEVERITIES,
        **whose,
    )


@incidents.post("/incidents/<reference>/acknowledge")
def acknowledge(reference: str) -> Answer:
    return _do(reference, usecases.acknowledge)


@incidents.post("/incidents/<reference>/start")
def start(reference: str) -> Answer:
    """Set the status to in progress."""
    return _do(reference, usecases.start_progress)


@incidents.post("/incidents/<reference>/resolve")
def resolve(reference: str) -> Answer:
    """Resolve the incident, with an optional note."""
    return _do(reference, lambda context, name: usecases.resolve(context, name, read(Closing, request.form).text))


@incidents.post("/incidents/<reference>/notes")
def note(reference: str) -> Answer:
    return _do(reference, lambda context, name: usecases.add_note(context, name, read(Note, request.form).text))


@incidents.post("/incidents/<reference>/assign")
def assign(reference: str) -> Answer:
    """Set the assignee; an empty name unassigns."""
    return _do(reference, lambda context, name: usecases.assign(context, name, read(Assignment, request.form).assignee))


def _do(reference: str, step: Callable[[Context, str], Incident]) -> Answer:
    """Apply an action to an incident and redirect to its page.

    If the action is rejected, the incident's page shows the error, the allowed actions, and the text that was typed.
    """
    try:
        with use_case() as context:
            incident = step(context, reference)
    except (Conflict, Invalid) as error:
        if wants_json():
            raise
        with transaction() as session:
            page = incident_page(session, reference, clock())
        return _incident_page(page, error=error, written=request.form.get("text", "")), error.status
    return redirect(url_for("incidents.one", reference=f"INC-{incident.number}"))


def _to_act_on(session: Session, reference: str) -> Incident:
    """An incident that the signed-in user may change. Raises `NotFound` and `NotYourIncident`."""
    incident = find_incident(session, reference)
    require_may_act_on(signed_in(), incident)
    return incident
