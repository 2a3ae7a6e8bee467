"""Reading incidents: the list, and one of them with everything it has."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, literal_column, select
from sqlalchemy.orm import Session

from ims.alerts.models import Alert, Episode
from ims.errors import NotFound
from ims.healing.models import Refusal
from ims.incidents import words
from ims.incidents.models import EventKind, Incident, Status, TimelineEvent
from ims.incidents.order import Position as Position
from ims.incidents.order import Sort as Sort
from ims.incidents.order import beyond, in_order
from ims.runs.models import Run

UNRESOLVED = (Status.OPEN, Status.ACKNOWLEDGED, Status.IN_PROGRESS)
_REFERENCE = re.compile(r"(?:INC-)?([1-9][0-9]{0,17})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which incidents; nothing means all. Words are explained in words.py."""

    statuses: tuple[Status, ...] = ()
    service: str = ""
    environment: str = ""
    severity: str = ""
    assignee: str = ""
    team: str = ""
    words: str = ""
    since: datetime | None = None
    """Opened then or later."""
    until: datetime | None = None
    """Opened before."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a list, and where the next page begins if there is one.

    A search for words may stop before the page is full, even with no row at all: then the next page goes on.
    """

    rows: Sequence[Incident]
    next: Position | None


@dataclass(frozen=True, slots=True)
class AlertSeen:
    """One alert of an incident, with the times it fired within it, oldest first."""

    alert: Alert
    episodes: Sequence[Episode]


def list_incidents(
    session: Session, filters: Filters, *, sort: Sort = Sort.NEWEST, limit: int = 50, after: Position | None = None
) -> Page:
    """One page of the list."""
    found = _find(session, filters, sort, limit + 1, after)
    if len(found.rows) <= limit:
        return Page(found.rows, found.stopped)
    last = found.rows[limit - 1]
    return Page(found.rows[:limit], Position(last.opened_at, last.id))


def _find(session: Session, filters: Filters, sort: Sort, limit: int, after: Position | None) -> words.Found:
    if filters.words.strip():
        search = words.Search(
            filters.words, lambda incident: _conditions(incident, filters), sort, limit, after, filters.since,
            filters.until, is_filtered=_is_filtered(filters),
        )  # fmt: skip
        return words.find_among_few(session, search) if _are_few(filters) else words.find(session, search)
    query = select(Incident).where(*_conditions(Incident, filters))
    if after:
        query = query.where(beyond(Incident, after, sort))
    return words.Found(session.scalars(query.order_by(*in_order(Incident, sort)).limit(limit)).all())


def _is_filtered(filters: Filters) -> bool:
    return replace(filters, words="", since=None, until=None) != Filters()


def _are_few(filters: Filters) -> bool:
    return bool(filters.statuses) and Status.RESOLVED not in filters.statuses


def _conditions(incident: type[Incident], filters: Filters) -> list[ColumnElement[bool]]:
    conditions = [
        getattr(incident, name) == wanted
        for name in ("service", "environment", "severity", "assignee", "team")
        if (wanted := getattr(filters, name))
    ]
    if _are_few(filters):
        # Written out, for the planner may not know a parameter's value and could not use the small index.
        conditions.append(incident.status != literal_column("'resolved'"))
    if filters.statuses and filters.statuses != UNRESOLVED:
        conditions.append(incident.status.in_(filters.statuses))
    if filters.since:
        conditions.append(incident.opened_at >= filters.since)
    if filters.until:
        conditions.append(incident.opened_at < filters.until)
    return conditions


def find_incident(session: Session, reference: str) -> Incident:
    """The incident called INC-42, 42, or by its UUID. Raises `NotFound`."""
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
    """The timeline in its order, from behind event `after`."""
    query = select(TimelineEvent).where(TimelineEvent.incident_id == incident_id, TimelineEvent.seq > after)
    return session.scalars(query.order_by(TimelineEvent.seq).limit(limit)).all()


def latest_events(session: Session, incident_id: UUID, limit: int = 500) -> Sequence[TimelineEvent]:
    """The newest `limit` events in their order: a page has an end, a flapping alert has none."""
    query = select(TimelineEvent).where(TimelineEvent.incident_id == incident_id)
    return list(reversed(session.scalars(query.order_by(TimelineEvent.seq.desc()).limit(limit)).all()))


def notes_of(session: Session, incident_id: UUID, limit: int = 200) -> Sequence[TimelineEvent]:
    """The newest `limit` notes in their order."""
    query = select(TimelineEvent).where(
        TimelineEvent.incident_id == incident_id, TimelineEvent.kind == EventKind.NOTE.value
    )
    return list(reversed(session.scalars(query.order_by(TimelineEvent.seq.desc()).limit(limit)).all()))


def alerts_of(session: Session, incident_id: UUID, limit: int = 200) -> list[AlertSeen]:
    """The incident's alerts in the order they first fired, each with its episodes."""
    query = (
        select(Episode, Alert)
        .join(Alert, Alert.id == Episode.alert_id)
        .where(Episode.incident_id == incident_id)
        .order_by(Episode.opened_at, Episode.id)
        .limit(limit)
    )
    alerts: dict[int, Alert] = {}
    episodes: dict[int, list[Episode]] = defaultdict(list)
    for episode, alert in session.execute(query):
        alerts[alert.id] = alert
        episodes[alert.id].append(episode)
    return [AlertSeen(alert, episodes[alert.id]) for alert in alerts.values()]


def runs_of(session: Session, incident_ids: Iterable[UUID]) -> dict[UUID, list[Run]]:
    """Runs of these incidents in the order they were decided."""
    found: dict[UUID, list[Run]] = defaultdict(list)
    query = select(Run).where(Run.incident_id.in_(list(incident_ids))).order_by(Run.queued_at, Run.number)
    for run in session.scalars(query):
        if run.incident_id:
            found[run.incident_id].append(run)
    return found


def refusals_of(session: Session, incident_ids: Iterable[UUID]) -> dict[UUID, list[Refusal]]:
    """What guards refused for these incidents, in order."""
    found: dict[UUID, list[Refusal]] = defaultdict(list)
    query = select(Refusal).where(Refusal.incident_id.in_(list(incident_ids))).order_by(Refusal.first_at)
    for refusal in session.scalars(query):
        found[refusal.incident_id].append(refusal)
    return found
