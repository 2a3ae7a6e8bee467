"""An incident as programs see it: the same in the API and in `ims incident … --json`."""

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
    """One incident. Times are when it happened, null when it has not."""

    incident: Annotated[str, Field(description="People's name for it.", examples=["INC-42"])]
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
    healed_at: Annotated[datetime | None, Field(description="The verification of a run passed.")]
    resolved_at: datetime | None
    attention_at: Annotated[datetime | None, Field(description="Since then automation cannot help.")]
    attention_reason: str | None
    maintenance: Annotated[str | None, Field(description="The maintenance window that covers it.")]
    flapping_since: datetime | None
    recurrence_of: Annotated[str | None, Field(description="Id of the incident that was resolved shortly before.")]
    version: Annotated[int, Field(description="Raised by each change; also the ETag.")]
    allowed: Annotated[list[Status], Field(description="The statuses it can go to from here.")]


class IncidentList(Listing[IncidentResponse]):
    """A page of the list of incidents."""


class EventResponse(ResponseModel):
    """One thing that happened."""

    seq: Annotated[int, Field(description="Its place in the timeline, from 1, without gaps.")]
    at: datetime
    kind: EventKind
    actor_kind: str
    actor: str
    text: Annotated[str, Field(description="The same as a sentence for people.")]
    data: dict[str, Any]


class Timeline(Listing[EventResponse]):
    """A part of a timeline, in its order."""


class NoteResponse(ResponseModel):
    """What somebody wrote."""

    at: datetime
    author: str
    text: Annotated[str, Field(description="Markdown.")]


class EpisodeResponse(ResponseModel):
    """One time that an alert fired."""

    id: int
    opened_at: datetime
    closed_at: datetime | None
    notifications: Annotated[int, Field(description="How often the sender said so.")]


class IncidentAlertResponse(ResponseModel):
    """An alert of the incident, with the times it fired within it."""

    id: int
    name: str
    source: str
    severity: str
    labels: dict[str, str]
    annotations: dict[str, str]
    generator_url: str | None
    episodes: list[EpisodeResponse]


class IncidentRunResponse(ResponseModel):
    """A run that was to heal it."""

    run: Annotated[str, Field(examples=["R-7"])]
    status: Annotated[str, Field(description="What its playbook did.")]
    outcome: Annotated[str, Field(description="The same with what its verification made of it.")]
    rule: str | None
    playbook: str
    target: str
    attempt: int
    queued_at: datetime
    finished_at: datetime | None
    ended_at: datetime | None
    reason: str | None


class DenialResponse(ResponseModel):
    """Decisions that made no run, counted by rule and reason; see `/decisions` for each of them."""

    rule: str
    reason: str
    count: int
    first_at: datetime
    last_at: datetime


class IncidentWhole(IncidentResponse):
    """One incident with all that belongs to it."""

    alerts: list[IncidentAlertResponse]
    notes: list[NoteResponse]
    runs: list[IncidentRunResponse]
    denials: list[DenialResponse]
    timeline: Annotated[list[EventResponse], Field(description="The newest 500 events, in their order.")]


class IncidentMetrics(ResponseModel):
    """How long it took, in seconds from its opening; null when it has not happened."""

    incident: str
    time_to_acknowledge: Annotated[
        float | None,
        Field(description="To the acknowledgement, or else a person's first action; automation does not count."),
    ]
    time_to_heal: Annotated[float | None, Field(description="Until the verification of a run passed.")]
    time_to_resolve: float | None


def show(incident: Incident) -> IncidentResponse:
    """The incident as programs see it."""
    return IncidentResponse(**_fields(incident))


def read_whole(session: Session, incident: Incident) -> IncidentWhole:
    """The incident with all that belongs to it."""
    return IncidentWhole(
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
    """An event of the timeline."""
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
    """How long the incident took."""

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
