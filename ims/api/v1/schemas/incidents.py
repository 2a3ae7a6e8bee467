"""Incidents, as in the API and in `ims incident … --json`."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy.orm import Session

from ims.alerts.queries import AlertSeen, alerts_of
from ims.core.schemas import Listing, ResponseModel
from ims.healing.queries import denials_of
from ims.incidents.models import EventKind, Incident, Status, TimelineEvent
from ims.incidents.queries import latest_events, notes_of
from ims.incidents.sentences import sentence_of
from ims.incidents.usecases import allowed_steps
from ims.runs.models import Run
from ims.runs.queries import runs_of


class IncidentResponse(ResponseModel):
    """An incident. A time is null if the event has not happened."""

    incident: Annotated[str, Field(description="Short name.", examples=["INC-42"])]
    id: str
    title: str
    description: Annotated[str, Field(description="Markdown.")]
    status: Status
    severity: str
    service: str | None
    environment: str
    assignee: str | None
    team: str | None
    runbook_url: str | None
    labels: dict[str, str]
    opened_at: datetime
    acknowledged_at: datetime | None
    in_progress_at: datetime | None
    healed_at: Annotated[datetime | None, Field(description="When the verification of a run passed.")]
    resolved_at: datetime | None
    attention_at: Annotated[
        datetime | None, Field(description="Since when it needs attention: automation could not resolve it.")
    ]
    attention_reason: str | None
    maintenance: Annotated[str | None, Field(description="The maintenance window that covers it.")]
    flapping_since: datetime | None
    recurrence_of: Annotated[
        str | None, Field(description="Id of the incident that it recurs from, resolved shortly before.")
    ]
    version: Annotated[int, Field(description="Incremented by each change; also the ETag.")]
    allowed: Annotated[list[Status], Field(description="Statuses that the current status allows next.")]


class IncidentList(Listing[IncidentResponse]):
    """A page of the list of incidents."""


class EventResponse(ResponseModel):
    """An event of a timeline."""

    seq: Annotated[int, Field(description="Sequence number in the timeline, from 1, without gaps.")]
    at: datetime
    kind: EventKind
    actor_kind: str
    actor: str
    text: Annotated[str, Field(description="The event as a sentence.")]
    data: dict[str, Any]


class Timeline(Listing[EventResponse]):
    """A part of a timeline, in order."""


class NoteResponse(ResponseModel):
    """A note."""

    at: datetime
    author: str
    text: Annotated[str, Field(description="Markdown.")]


class EpisodeResponse(ResponseModel):
    """One firing of an alert."""

    id: int
    opened_at: datetime
    closed_at: datetime | None
    notifications: Annotated[int, Field(description="Notifications received in this episode.")]


class IncidentAlertResponse(ResponseModel):
    """An alert of the incident, with its episodes in this incident."""

    id: int
    name: str
    source: str
    severity: str
    labels: dict[str, str]
    annotations: dict[str, str]
    generator_url: str | None
    episodes: list[EpisodeResponse]


class IncidentRunResponse(ResponseModel):
    """A healing run of the incident."""

    run: Annotated[str, Field(examples=["R-7"])]
    status: Annotated[str, Field(description="Status of the playbook.")]
    outcome: Annotated[str, Field(description="Status of the playbook combined with the verification.")]
    rule: str | None
    playbook: str
    target: str
    attempt: int
    queued_at: datetime
    finished_at: datetime | None
    ended_at: datetime | None
    reason: str | None


class DenialResponse(ResponseModel):
    """Number of decisions that started no run, by rule and reason; `/decisions` lists them."""

    rule: str
    reason: str
    count: int
    first_at: datetime
    last_at: datetime


class IncidentDetails(IncidentResponse):
    """An incident with its alerts, notes, runs, denials and timeline."""

    alerts: list[IncidentAlertResponse]
    notes: list[NoteResponse]
    runs: list[IncidentRunResponse]
    denials: list[DenialResponse]
    timeline: Annotated[list[EventResponse], Field(description="The newest 500 events, in order.")]


class IncidentMetrics(ResponseModel):
    """Times since the incident was opened, in seconds; null if it has not happened."""

    incident: str
    time_to_acknowledge: Annotated[
        float | None,
        Field(description="Until the acknowledgement, or else a user's first action; automation does not count."),
    ]
    time_to_heal: Annotated[float | None, Field(description="Until the verification of a run passed.")]
    time_to_resolve: float | None


def show(incident: Incident) -> IncidentResponse:
    return IncidentResponse(**_fields(incident))


def read_details(session: Session, incident: Incident) -> IncidentDetails:
    return IncidentDetails(
        **_fields(incident),
        alerts=[_show_alert(seen) for seen in alerts_of(session, incident.id)],
        notes=[show_note(event) for event in notes_of(session, incident.id)],
        runs=[_show_run(run) for run in runs_of(session, [incident.id]).get(incident.id, [])],
        denials=[
            DenialResponse.model_validate(denial) for denial in denials_of(session, [incident.id]).get(incident.id, [])
        ],
        timeline=[show_event(event) for event in latest_events(session, incident.id)],
    )


def show_event(event: TimelineEvent) -> EventResponse:
    sentence = sentence_of(event)
    return EventResponse(
        seq=event.seq,
        at=event.at,
        kind=EventKind(event.kind),
        actor_kind=event.actor_kind,
        actor=event.actor,
        text=f"{sentence.text} ({sentence.detail})" if sentence.detail else sentence.text,
        data=event.data,
    )


def show_note(event: TimelineEvent) -> NoteResponse:
    """An event of kind note, as a note."""
    return NoteResponse(at=event.at, author=event.actor, text=str(event.data.get("text", "")))


def measure(incident: Incident) -> IncidentMetrics:
    def seconds(moment: datetime | None) -> float | None:
        return (moment - incident.opened_at).total_seconds() if moment else None

    return IncidentMetrics(
        incident=f"INC-{incident.number}",
        time_to_acknowledge=seconds(incident.acknowledged_at or incident.first_human_at),
        time_to_heal=seconds(incident.healed_at),
        time_to_resolve=seconds(incident.resolved_at),
    )


def _fields(incident: Incident) -> dict[str, Any]:
    derived = {"incident", "id", "recurrence_of", "allowed"}
    own = {name: getattr(incident, name) for name in IncidentResponse.model_fields if name not in derived}
    return {
        **own,
        "incident": f"INC-{incident.number}",
        "id": str(incident.id),
        "recurrence_of": str(incident.recurrence_of) if incident.recurrence_of else None,
        "allowed": allowed_steps(incident.status),
    }


def _show_alert(seen: AlertSeen) -> IncidentAlertResponse:
    names = ("id", "name", "source", "severity", "labels", "annotations", "generator_url")
    return IncidentAlertResponse(
        **{name: getattr(seen.alert, name) for name in names},
        episodes=[EpisodeResponse.model_validate(episode) for episode in seen.episodes],
    )


def _show_run(run: Run) -> IncidentRunResponse:
    names = [name for name in IncidentRunResponse.model_fields if name != "run"]
    return IncidentRunResponse(run=f"R-{run.number}", **{name: getattr(run, name) for name in names})
