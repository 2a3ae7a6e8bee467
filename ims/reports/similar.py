"""Similar incidents: earlier incidents like this one, and what resolved them."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session

from ims.alerts.models import Alert, Episode
from ims.core.actors import ActorKind
from ims.incidents.models import EventKind, Incident, TimelineEvent
from ims.runs.models import Run, RunOutcome
from ims.runs.queries import runs_of

SHOWN = 5
LOOKED_AT = 100
"""The newest earlier incidents of the service that are compared."""
ALERTS_LOOKED_AT = 10
LAST_EVENTS = 50
"""The event that resolved an incident is near the end of its timeline: only notes can follow."""


@dataclass(frozen=True, slots=True)
class Similar:
    """An earlier incident: the run that healed it, or the person who resolved it and what they wrote."""

    incident: Incident
    run: Run | None
    person: str | None
    note: str

    @property
    def seconds(self) -> float | None:
        """The time until the incident was healed, or else resolved; None if neither."""
        end = self.incident.healed_at or self.incident.resolved_at
        return (end - self.incident.opened_at).total_seconds() if end else None


def similar_to(session: Session, incident: Incident, alerts: Sequence[Alert]) -> list[Similar]:
    """Earlier incidents of the same alert, of the same service and alert name, or of the same correlation key.

    A few, newest first. The query uses indexes and is bounded, however long the history is.
    """
    ids = _same_alert(session, incident, alerts) | _same_service(session, incident, alerts)
    if not ids:
        return []
    query = select(Incident).where(Incident.id.in_(ids)).order_by(Incident.opened_at.desc()).limit(SHOWN)
    found = session.scalars(query).all()
    runs, endings = runs_of(session, [one.id for one in found]), _endings(session, found)
    return [_similar(one, runs.get(one.id, []), endings.get(one.id)) for one in found]


def _same_alert(session: Session, incident: Incident, alerts: Sequence[Alert]) -> set[UUID]:
    """Incidents in which one of these alerts fired before; each alert's episodes are indexed by time."""
    found: set[UUID] = set()
    for alert in alerts[:ALERTS_LOOKED_AT]:
        query = select(Episode.incident_id).where(
            Episode.alert_id == alert.id, Episode.opened_at < incident.opened_at, Episode.incident_id != incident.id
        )
        found.update(session.scalars(query.order_by(Episode.opened_at.desc()).limit(4 * SHOWN)))
    return found


def _same_service(session: Session, incident: Incident, alerts: Sequence[Alert]) -> set[UUID]:
    """Earlier incidents of the service with the same key, or with an alert of one of these names."""
    if incident.service is None or (incident.correlation_key is None and not alerts):
        return set()
    earlier = (
        select(Incident.id, Incident.correlation_key)
        .where(Incident.service == incident.service, Incident.opened_at < incident.opened_at)
        .order_by(Incident.opened_at.desc())
        .limit(LOOKED_AT)
        .subquery()
    )
    names = sorted({alert.name for alert in alerts})
    has_name = (
        exists()
        .where(Episode.incident_id == earlier.c.id, Alert.id == Episode.alert_id, Alert.name.in_(names))
        .correlate(earlier)
    )
    likeness: ColumnElement[bool] = has_name
    if incident.correlation_key is not None:
        likeness = or_(has_name, earlier.c.correlation_key == incident.correlation_key)
    return set(session.scalars(select(earlier.c.id).where(likeness)))


def _endings(session: Session, incidents: Sequence[Incident]) -> dict[UUID, TimelineEvent]:
    """The events that resolved these incidents."""
    near_the_end = [
        and_(TimelineEvent.incident_id == one.id, TimelineEvent.seq > one.last_seq - LAST_EVENTS) for one in incidents
    ]
    query = select(TimelineEvent).where(or_(*near_the_end), TimelineEvent.kind == EventKind.RESOLVED)
    return {event.incident_id: event for event in session.scalars(query)}


def _similar(incident: Incident, runs: Sequence[Run], ending: TimelineEvent | None) -> Similar:
    healed = [run for run in runs if run.outcome == RunOutcome.HEALED]
    is_person = ending is not None and ending.actor_kind == ActorKind.PERSON
    return Similar(
        incident=incident,
        run=healed[-1] if healed else None,
        person=ending.actor if ending and is_person else None,
        note=str((ending.data or {}).get("note") or "") if ending else "",
    )
