"""Alerts, dead letters, and the response to a sender."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from ims.alerts.episodes import Result
from ims.alerts.listing import ListedAlert
from ims.alerts.models import DeadLetter, Episode
from ims.core.schemas import Listing, ResponseModel
from ims.incidents.models import Incident, Status


class AlertResponse(ResponseModel):
    """An alert of one source, identified by its fingerprint."""

    id: int
    name: str
    source: str
    service: Annotated[str | None, Field(description="The service that its labels match, if the policy has one.")]
    environment: str
    severity: Annotated[str, Field(description="IMS severity: critical, high, medium or low.")]
    firing: Annotated[bool, Field(description="Whether it is firing.")]
    fingerprint: Annotated[str, Field(description="Identifies the alert within its source.")]
    labels: dict[str, str]
    annotations: dict[str, str]
    generator_url: str | None
    first_seen_at: datetime
    last_seen_at: Annotated[datetime, Field(description="When its source last sent a notification about it.")]


class AlertList(Listing[AlertResponse]):
    """A page of the list of alerts."""


class AlertEpisodeResponse(ResponseModel):
    """One firing of the alert."""

    id: int
    incident: Annotated[str, Field(examples=["INC-42"])]
    opened_at: datetime
    closed_at: datetime | None
    last_notification_at: datetime
    notifications: Annotated[int, Field(description="Notifications received in this episode.")]


class AlertIncidentResponse(ResponseModel):
    """An incident that the alert is part of."""

    incident: Annotated[str, Field(examples=["INC-42"])]
    title: str
    status: Status
    opened_at: datetime
    resolved_at: datetime | None


class AlertDetails(AlertResponse):
    """An alert with its episodes and incidents."""

    episodes: Annotated[list[AlertEpisodeResponse], Field(description="The newest 100, newest first.")]
    incidents: Annotated[list[AlertIncidentResponse], Field(description="Incidents of these episodes, newest first.")]


def _is_none(value: object) -> bool:
    return value is None


class SentAlertResponse(ResponseModel):
    """Result of one sent alert."""

    place: Annotated[int, Field(description="Its index in the request, from 0.")]
    fingerprint: Annotated[
        str | None, Field(exclude_if=_is_none, description="Identifies the alert within its source.")
    ] = None
    result: Annotated[
        Result,
        Field(
            description="`opened`: a new episode; `extended`: still firing, with another start; `closed`: resolved; "
            "`duplicate` and `late`: no change; `rejected`: stored as a dead letter, with the reason; `ignored`: not "
            "an alert, such as a test message."
        ),
    ]
    reason: Annotated[str | None, Field(exclude_if=_is_none)] = None
    message: Annotated[str | None, Field(exclude_if=_is_none, description="Why it was rejected or ignored.")] = None
    unused: Annotated[list[str] | None, Field(exclude_if=_is_none, description="Keys that were sent and not used.")] = (
        None
    )


class SendResponse(ResponseModel):
    """Result of sending alerts."""

    source: str
    accepted: int
    rejected: Annotated[int, Field(description="Alerts stored as dead letters; the others were accepted.")]
    ignored: Annotated[int, Field(description="What is not an alert, such as a test message.")]
    truncated: Annotated[int, Field(description="Alerts that the sender left out of the notification.")]
    alerts: Annotated[list[SentAlertResponse], Field(description="In the order of the request.")]


class DeadLetterResponse(ResponseModel):
    """An alert that could not be processed."""

    id: int
    received_at: datetime
    source: str
    reason: str
    message: Annotated[str, Field(description="Why it could not be processed.")]
    place: Annotated[int | None, Field(description="Its index in the request, from 0.")]
    occurrences: Annotated[
        int, Field(description="How many it stands for: beyond a limit, what has the same reason is only counted.")
    ]
    body: Annotated[str, Field(description="As received, at most 64 KiB.")]


class DeadLetterList(Listing[DeadLetterResponse]):
    """A page of the list of dead letters."""


class RetryResponse(ResponseModel):
    """Result of a retry."""

    id: int
    result: Annotated[str, Field(description="As for a sent alert, or `still rejected`.")]
    message: Annotated[str, Field(description="Why it still could not be processed.")]


def show_alert(listed: ListedAlert) -> AlertResponse:
    return AlertResponse(**_fields(listed))


def show_alert_details(listed: ListedAlert, episodes: Sequence[tuple[Episode, Incident]]) -> AlertDetails:
    incidents = {incident.id: incident for _, incident in episodes}
    return AlertDetails(
        **_fields(listed),
        episodes=[_show_episode(episode, incident) for episode, incident in episodes],
        incidents=[_show_incident(incident) for incident in incidents.values()],
    )


def show_dead_letter(letter: DeadLetter) -> DeadLetterResponse:
    derived = {
        "message": letter.details.get("message", ""),
        "place": letter.details.get("place"),
        "occurrences": letter.details.get("occurrences", 1),
    }
    own = {name: getattr(letter, name) for name in DeadLetterResponse.model_fields if name not in derived}
    return DeadLetterResponse(**own, **derived)


def _fields(listed: ListedAlert) -> dict[str, Any]:
    own = {name: getattr(listed.alert, name) for name in AlertResponse.model_fields if name != "firing"}
    return {**own, "firing": listed.is_firing}


def _show_episode(episode: Episode, incident: Incident) -> AlertEpisodeResponse:
    own = {name: getattr(episode, name) for name in AlertEpisodeResponse.model_fields if name != "incident"}
    return AlertEpisodeResponse(incident=f"INC-{incident.number}", **own)


def _show_incident(incident: Incident) -> AlertIncidentResponse:
    own = {name: getattr(incident, name) for name in AlertIncidentResponse.model_fields if name != "incident"}
    return AlertIncidentResponse(incident=f"INC-{incident.number}", **own)
