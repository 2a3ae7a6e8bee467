"""Pages: the list of incidents, one incident, and what people do to it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from flask import Blueprint, redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from ims.accounts.models import Role
from ims.accounts.queries import account_names
from ims.actors import Actor
from ims.catalogue.queries import read_catalogue
from ims.errors import FieldError, Invalid, Unprocessable
from ims.http import live
from ims.http.asking import allow, origin, require_may_act_on, signed_in
from ims.http.paging import decode_cursor, encode_cursor
from ims.http.resources import clock, settings, transaction
from ims.incidents import actions
from ims.incidents.audit import audited, record_created
from ims.incidents.figures import read_figures
from ims.incidents.inputs import SEVERITIES, TITLE_LENGTH, Closing, Editable, NewIncident, Note
from ims.incidents.models import Incident, Status
from ims.incidents.pages import incident_page, rows_of
from ims.incidents.queries import UNRESOLVED, Filters, Page, Position, Sort, find_incident, list_incidents
from ims.inputs import read
from ims.metrics import count_resolved
from ims.web.wording import web_address

incidents = Blueprint("incidents", __name__)

PAGE_ROWS = 40
UNRESOLVED_ROWS = 60
LIST_MOVES_SECONDS = 5
PAGE_MOVES_SECONDS = 2
ANY_UNRESOLVED = "unresolved"


@incidents.get("/")
@incidents.get("/incidents")
def index() -> Response:
    """Figures, what is not resolved, and what was; or one filtered list."""
    filters, sort = _filters()
    after, now = _position(filters, sort), clock()
    is_overview = filters == Filters() and sort is Sort.NEWEST and after is None
    with transaction() as session:
        figures = read_figures(session, now)
        if is_overview:
            current = list_incidents(session, Filters(UNRESOLVED), limit=UNRESOLVED_ROWS)
            past = list_incidents(session, Filters((Status.RESOLVED,)), limit=PAGE_ROWS)
        else:
            current = Page([], None)
            past = list_incidents(session, filters, sort=sort, limit=PAGE_ROWS, after=after)
        rows = rows_of(session, [*current.rows, *past.rows], now)
        services = sorted(read_catalogue(session).services)
    grows = any(row.lifeline.is_open for row in rows)
    state = [figures, [row.state for row in rows], services, grows and live.moment(now, LIST_MOVES_SECONDS)]
    past_filters = Filters((Status.RESOLVED,)) if is_overview else filters
    return live.answer(
        state,
        lambda: render_template(
            "incidents/list.html",
            figures=figures,
            current=rows[: len(current.rows)],
            more_current=_more(Filters(UNRESOLVED), Sort.NEWEST, current),
            past=rows[len(current.rows) :],
            more_past=_more(past_filters, sort, past),
            is_overview=is_overview,
            is_first=after is None,
            filters=filters,
            chosen=_status_word(filters),
            sort=sort,
            services=services,
            severities=SEVERITIES,
            now=now,
        ),
    )


def _filters() -> tuple[Filters, Sort]:
    """The filter and the order that the address asks for. Raises `Invalid` naming every wrong parameter."""
    given = request.args
    status, severity, order = given.get("status", ""), given.get("severity", ""), given.get("sort", "newest")
    wrong = []
    statuses: tuple[Status, ...] = ()
    if status == ANY_UNRESOLVED:
        statuses = UNRESOLVED
    elif status in set(Status):
        statuses = (Status(status),)
    elif status:
        wrong.append(FieldError("status", f"must be {ANY_UNRESOLVED}, {', '.join(Status)}"))
    if severity and severity not in set(SEVERITIES):
        wrong.append(FieldError("severity", f"must be {', '.join(SEVERITIES)}"))
    if order not in set(Sort):
        wrong.append(FieldError("sort", f"must be {', '.join(Sort)}"))
    texts = {name: given.get(name, "") for name in ("service", "q")}
    wrong += [
        FieldError(name, "is not a text of at most 200 characters")
        for name, text in texts.items()
        if "\0" in text or len(text) > TITLE_LENGTH
    ]
    if wrong:
        raise Invalid(fields=wrong)
    words = " ".join(given.get("q", "").split())
    return Filters(statuses, service=given.get("service", ""), severity=severity, words=words), Sort(order)


def _status_word(filters: Filters) -> str:
    """The filter's status as it stands in the address."""
    if filters.statuses == UNRESOLVED:
        return ANY_UNRESOLVED
    return filters.statuses[0] if filters.statuses else ""


def _bound_to(filters: Filters, sort: Sort) -> list[str]:
    return [*sorted(filters.statuses), filters.service, filters.severity, filters.words, sort]


def _position(filters: Filters, sort: Sort) -> Position | None:
    """Where the page begins. Raises `Invalid` for a cursor that was not made for this list."""
    cursor = request.args.get("cursor", "")
    if not cursor:
        return None
    parts = decode_cursor(cursor, _bound_to(filters, sort))
    try:
        opened_at, own_id = parts
        return Position(datetime.fromisoformat(opened_at), UUID(own_id))
    except ValueError as error:
        raise Unprocessable(fields=[FieldError("cursor", "is damaged: begin with the first page")]) from error


def _more(filters: Filters, sort: Sort, page: Page) -> str | None:
    """Address of the next page of this list."""
    if page.next is None:
        return None
    cursor = encode_cursor([page.next.opened_at.isoformat(), str(page.next.id)], _bound_to(filters, sort))
    asked = {"status": _status_word(filters), "service": filters.service, "severity": filters.severity}
    asked |= {"q": filters.words, "sort": "" if sort is Sort.NEWEST else sort.value, "cursor": cursor}
    values: dict[str, Any] = {name: value for name, value in asked.items() if value}
    return url_for("incidents.index", **values)


@incidents.get("/incidents/<reference>")
def one(reference: str) -> Response:
    """One incident."""
    now = clock()
    with transaction() as session:
        page = incident_page(session, reference, now)
    state = [page.row.state, page.row.lifeline.is_open and live.moment(now, PAGE_MOVES_SECONDS)]
    return live.answer(
        state,
        lambda: render_template(
            "incidents/one.html",
            page=page,
            may_act=signed_in().may_act_on(page.incident.team, page.incident.assignee),
            now=now,
            prometheus=web_address(settings().prometheus_url),
        ),
    )


@incidents.get("/incidents/new")
@allow(Role.RESPONDER)
def new() -> str:
    """The form that opens an incident by hand. Its id makes sending it twice harmless."""
    return _new_form({"severity": "medium", "id": str(uuid4())}, ())


@incidents.post("/incidents/new")
def create() -> Response | tuple[str, int]:
    """Open an incident by hand."""
    form = request.form.to_dict()
    try:
        incident_id = _form_id(form.get("id", ""))
        given = read(NewIncident, form)
        with transaction() as session:
            service = read_catalogue(session).find(given.service)
            now = clock()
            is_new = actions.create_by_person(
                session, given, actor=_person(), now=now, incident_id=incident_id, service=service
            )
            incident = find_incident(session, str(incident_id))
            if is_new:
                record_created(session, incident, origin(), now)
            number = incident.number
    except Invalid as error:
        return _new_form(form, error.fields), error.status
    return redirect(url_for("incidents.one", reference=f"INC-{number}"))


def _form_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Invalid(fields=[FieldError("id", "is missing: load the form again")]) from error


def _new_form(values: object, wrong: object) -> str:
    with transaction() as session:
        services, people = sorted(read_catalogue(session).services), account_names(session)
    return render_template(
        "incidents/new.html", values=values, wrong=wrong, services=services, people=people, severities=SEVERITIES
    )


@incidents.get("/incidents/<reference>/edit")
@allow(Role.RESPONDER)
def edit_form(reference: str) -> str:
    """The form that edits an incident."""
    with transaction() as session:
        incident, people = _to_act_on(session, reference), account_names(session)
    return _edit_page(incident, people, actions.editable(incident).model_dump())


@incidents.post("/incidents/<reference>/edit")
def edit(reference: str) -> Response | tuple[str, int]:
    """Change what may be edited; what somebody else changed meanwhile is told and nothing is overwritten."""
    form = request.form.to_dict()
    seen: dict[str, Any] = {name: form.get(f"seen_{name}", "") for name in actions.EDITABLE}
    try:
        wanted, before = read(Editable, form), Editable.model_construct(**_unix_lines(seen))
        version = _version(form.get("version", ""))
        with transaction() as session:
            incident = _to_act_on(session, reference)
            now = clock()
            with audited(session, incident, "incident.edited", origin(), now):
                actions.edit(session, incident.id, wanted, actor=_person(), now=now, version=version, seen=before)
    except (Invalid, actions.ChangedMeanwhile) as error:
        with transaction() as session:
            incident, people = _to_act_on(session, reference), account_names(session)
        stale = isinstance(error, actions.ChangedMeanwhile)
        return _edit_page(incident, people, form, error.fields, stale=stale), error.status
    return redirect(url_for("incidents.one", reference=f"INC-{incident.number}"))


def _unix_lines(values: dict[str, str]) -> dict[str, Any]:
    """Browsers send CRLF for the line breaks of a text."""
    return {name: value.replace("\r\n", "\n").strip() for name, value in values.items()}


def _version(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise Invalid(fields=[FieldError("version", "is missing: load the form again")])
    return int(text)


def _edit_page(
    incident: Incident, people: list[str], values: object, wrong: object = (), *, stale: bool = False
) -> str:
    return render_template(
        "incidents/edit.html",
        incident=incident,
        seen=actions.editable(incident),
        values=values,
        wrong=wrong,
        stale=stale,
        people=people,
        severities=SEVERITIES,
    )


@incidents.post("/incidents/<reference>/acknowledge")
def acknowledge(reference: str) -> Response:
    """Somebody is looking."""
    return _do(reference, "acknowledged", lambda s, i, a, now: actions.acknowledge(s, i, actor=a, now=now))


@incidents.post("/incidents/<reference>/start")
def start(reference: str) -> Response:
    """Somebody is working on it."""
    return _do(reference, "started", lambda s, i, a, now: actions.start_progress(s, i, actor=a, now=now))


@incidents.post("/incidents/<reference>/resolve")
def resolve(reference: str) -> Response:
    """It is over; what was done may be said."""
    text = read(Closing, request.form).text
    with transaction() as session:
        incident, now = _to_act_on(session, reference), clock()
        with audited(session, incident, "incident.resolved", origin(), now, note=text):
            actions.resolve(session, incident.id, actor=_person(), now=now, note=text)
    count_resolved([(now - incident.opened_at).total_seconds()])
    return redirect(url_for("incidents.one", reference=f"INC-{incident.number}"))


@incidents.post("/incidents/<reference>/notes")
def note(reference: str) -> Response:
    """Write a note."""
    text = read(Note, request.form).text
    return _do(reference, "noted", lambda s, i, a, now: actions.add_note(s, i, text, actor=a, now=now), text)


@incidents.post("/incidents/<reference>/take")
def take(reference: str) -> Response:
    """Assign the incident to whoever asks."""

    def assign(session: Session, incident_id: UUID, actor: Actor, now: datetime) -> None:
        actions.assign(session, incident_id, signed_in().name, actor=actor, now=now)

    return _do(reference, "assigned", assign)


def _do(
    reference: str, done: str, action: Callable[[Session, UUID, Actor, datetime], object], note: str = ""
) -> Response:
    """Do one thing to one incident and show it again; `done` is how the audit log calls it."""
    with transaction() as session:
        incident, now = _to_act_on(session, reference), clock()
        with audited(session, incident, f"incident.{done}", origin(), now, note=note):
            action(session, incident.id, _person(), now)
    return redirect(url_for("incidents.one", reference=f"INC-{incident.number}"))


def _person() -> Actor:
    return signed_in().actor


def _to_act_on(session: Session, reference: str) -> Incident:
    """An incident that whoever asks may change. Raises `NotFound` and `NotYourIncident`."""
    incident = find_incident(session, reference)
    require_may_act_on(incident.team, incident.assignee)
    return incident
