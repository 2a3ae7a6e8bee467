"""Reading incidents: the list, and single incidents with their timelines."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, literal_column, select
from sqlalchemy.orm import Session

from ims.core.errors import NotFound
from ims.incidents.models import EventKind, Incident, Status, TimelineEvent
from ims.incidents.order import Position as Position
from ims.incidents.order import Sort as Sort
from ims.incidents.order import beyond, in_order
from ims.incidents.search import Found, Search, find, find_among_few

UNRESOLVED = (Status.OPEN, Status.ACKNOWLEDGED, Status.IN_PROGRESS)
_REFERENCE = re.compile(r"(?:INC-)?([1-9][0-9]{0,17})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Filters:
    """Filters of the list; an empty one matches all incidents. search.py explains `search`."""

    statuses: tuple[Status, ...] = ()
    service: str = ""
    environment: str = ""
    severity: str = ""
    assignee: str = ""
    team: str = ""
    search: str = ""
    since: datetime | None = None
    """Opened then or later."""
    until: datetime | None = None
    """Opened before."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a list, and where the next page begins if there is one.

    A search may stop before the page is full, even without any row: then the next page continues it.
    """

    rows: Sequence[Incident]
    next: Position | None


def list_incidents(
    session: Session, filters: Filters, *, sort: Sort = Sort.NEWEST, limit: int = 50, after: Position | None = None
) -> Page:
    """One page of the list."""
    found = _find(session, filters, sort, limit + 1, after)
    if len(found.rows) <= limit:
        return Page(found.rows, found.stopped)
    last = found.rows[limit - 1]
    return Page(found.rows[:limit], Position(last.opened_at, last.id))


def _find(session: Session, filters: Filters, sort: Sort, limit: int, after: Position | None) -> Found:
    if filters.search.strip():
        search = Search(
            filters.search, lambda incident: _conditions(incident, filters), sort, limit, after, filters.since,
            filters.until, is_filtered=_is_filtered(filters),
        )  # fmt: skip
        return find_among_few(session, search) if _are_few(filters) else find(session, search)
    query = select(Incident).where(*_conditions(Incident, filters))
    if after:
        query = query.where(beyond(Incident, after, sort))
    return Found(session.scalars(query.order_by(*in_order(Incident, sort)).limit(limit)).all())


def _is_filtered(filters: Filters) -> bool:
    return replace(filters, search="", since=None, until=None) != Filters()


def _are_few(filters: Filters) -> bool:
    return bool(filters.statuses) and Status.RESOLVED not in filters.statuses


def _conditions(incident: type[Incident], filters: Filters) -> list[ColumnElement[bool]]:
    conditions = [
        getattr(incident, name) == wanted
        for name in ("service", "environment", "severity", "assignee", "team")
        if (wanted := getattr(filters, name))
    ]
    if _are_few(filters):
        # Written as a literal: with a parameter the planner does not know the value and cannot use the partial index.
        conditions.append(incident.status != literal_column("'resolved'"))
    if filters.statuses and filters.statuses != UNRESOLVED:
        conditions.append(incident.status.in_(filters.statuses))
    if filters.since:
        conditions.append(incident.opened_at >= filters.since)
    if filters.until:
        conditions.append(incident.opened_at < filters.until)
    return conditions


def find_incident(session: Session, reference: str) -> Incident:
    """The incident named INC-42, 42, or by its UUID. Raises `NotFound`."""
    if number := _REFERENCE.fullmatch(reference):
        found = session.scalars(select(Incident).where(Incident.number == int(number[1]))).one_or_none()
    else:
        try:
            found = session.get(Incident, UUID(reference))
        except ValueError:
            found = None
    if found is None:
        raise NotFound("There is no such incident.")
    return found


def timeline_of(session: Session, incident_id: UUID, *, after: int = 0, limit: int = 1000) -> Sequence[TimelineEvent]:
    """The timeline in its order, after event `after`."""
    query = select(TimelineEvent).where(TimelineEvent.incident_id == incident_id, TimelineEvent.seq > after)
    return session.scalars(query.order_by(TimelineEvent.seq).limit(limit)).all()


def latest_events(session: Session, incident_id: UUID, limit: int = 500) -> Sequence[TimelineEvent]:
    """The newest `limit` events in their order; the timeline of a flapping alert is too long for a page."""
    query = select(TimelineEvent).where(TimelineEvent.incident_id == incident_id)
    return list(reversed(session.scalars(query.order_by(TimelineEvent.seq.desc()).limit(limit)).all()))


def notes_of(session: Session, incident_id: UUID, limit: int = 200) -> Sequence[TimelineEvent]:
    """The newest `limit` notes in their order."""
    query = select(TimelineEvent).where(
        TimelineEvent.incident_id == incident_id, TimelineEvent.kind == EventKind.NOTE.value
    )
    return list(reversed(session.scalars(query.order_by(TimelineEvent.seq.desc()).limit(limit)).all()))


def unresolved_incidents(session: Session, services: Iterable[str], most: int = 20) -> dict[str, list[int]]:
    """Numbers of the unresolved incidents of each of these services, newest first, `most` of each."""
    place = func.row_number().over(partition_by=Incident.service, order_by=Incident.number.desc()).label("place")
    ranked = (
        select(Incident.service, Incident.number, place)
        # Written out: of a parameter the planner does not know that it fits the index of unresolved ones.
        .where(Incident.status != literal_column("'resolved'"), Incident.service.in_(list(services)))
        .subquery()
    )
    query = select(ranked.c.service, ranked.c.number).where(ranked.c.place <= most).order_by(ranked.c.place)
    found: dict[str, list[int]] = {}
    for service, number in session.execute(query):
        found.setdefault(service, []).append(number)
    return found
