"""Data of the incident pages, read in one transaction: rows of the list, and one incident with all its parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from ims.accounts.queries import account_names
from ims.alerts.queries import AlertSeen, alerts_of
from ims.healing.models import Decision
from ims.healing.queries import Denial, decisions_of, denials_of
from ims.incidents.models import Incident, Status
from ims.incidents.queries import find_incident
from ims.incidents.usecases import allowed_steps
from ims.policy.schema import Service
from ims.reports.history import history_of
from ims.reports.lifeline import Lifeline, draw
from ims.reports.similar import Similar, similar_to
from ims.runs.models import ACTIVE, Run
from ims.runs.queries import runs_of
from ims.services.queries import read_catalogue
from ims.web.markdown import Prose, read_here
from ims.web.timeline import Timeline, read_timeline

MOST_ALERTS = 15
MOST_OF_ALERTS = 12_000
"""Characters of labels and annotations: a storm brings thousands of alerts, and annotations can be very long."""
MOST_RUNS = 10
MOST_DECISIONS = 12
"""A storm of alerts on one service can lead to thousands of decisions. The API lists all of them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One incident in a list."""

    incident: Incident
    lifeline: Lifeline
    runs: Sequence[Run]

    @property
    def is_healing(self) -> bool:
        """Whether a run for it is active."""
        return any(run.outcome in ACTIVE for run in self.runs)

    @property
    def state(self) -> list[object]:
        """Values that change whenever the row's appearance changes."""
        return [self.incident.number, self.incident.version, *(run.outcome for run in self.runs)]


@dataclass(frozen=True, slots=True)
class IncidentPage:
    """One incident with everything its page shows."""

    row: Row
    steps: Sequence[Status]
    description: Prose
    timeline: Timeline
    alerts: Sequence[AlertSeen]
    more_alerts: bool
    similar: Sequence[Similar]
    decisions: Sequence[Decision]
    """The newest decisions, newest first."""
    service: Service | None
    recurrence_of: Incident | None
    people: Sequence[str]

    @property
    def incident(self) -> Incident:
        return self.row.incident

    @property
    def runs(self) -> Sequence[Run]:
        """The newest runs, newest first."""
        return self.row.runs[: -MOST_RUNS - 1 : -1]


def rows_of(session: Session, incidents: Sequence[Incident], now: datetime) -> list[Row]:
    """The incidents as rows, with two queries in total."""
    ids = [incident.id for incident in incidents]
    runs, denials = runs_of(session, ids), denials_of(session, ids)
    return [_row(incident, runs.get(incident.id, []), denials.get(incident.id, []), now) for incident in incidents]


def incident_page(session: Session, reference: str, now: datetime, before: int | None = None) -> IncidentPage:
    """The incident named `reference`; with `before`, its timeline ends before that event. Raises `NotFound`."""
    incident = find_incident(session, reference)
    denials = denials_of(session, [incident.id]).get(incident.id, [])
    row = _row(incident, runs_of(session, [incident.id]).get(incident.id, []), denials, now)
    alerts = alerts_of(session, incident.id)
    shown = _first(alerts)
    return IncidentPage(
        row=row,
        steps=allowed_steps(incident.status),
        description=read_here(incident.description),
        timeline=read_timeline(session, incident.id, before),
        alerts=shown,
        more_alerts=len(alerts) > len(shown),
        similar=similar_to(session, incident, [seen.alert for seen in alerts]),
        decisions=decisions_of(session, incident.id, limit=MOST_DECISIONS),
        service=read_catalogue(session).find(incident.service),
        recurrence_of=session.get(Incident, incident.recurrence_of) if incident.recurrence_of else None,
        people=account_names(session),
    )


def _first(alerts: Sequence[AlertSeen]) -> Sequence[AlertSeen]:
    """The first alerts that fit on a page, at least one."""
    length = 0
    for place, seen in enumerate(alerts[:MOST_ALERTS]):
        texts = (*seen.alert.labels.items(), *seen.alert.annotations.items())
        length += sum(len(name) + len(value) for name, value in texts)
        if place and length > MOST_OF_ALERTS:
            return alerts[:place]
    return alerts[:MOST_ALERTS]


def _row(incident: Incident, runs: Sequence[Run], denials: Sequence[Denial], now: datetime) -> Row:
    return Row(incident, draw(history_of(incident, runs, denials), now), runs)
