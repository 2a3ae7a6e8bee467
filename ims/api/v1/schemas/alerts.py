"""Alerts as programs see them, and what a sender is told."""

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
    """What one source reports about one thing."""

    id: int
    name: str
    source: str
    service: Annotated[str | None, Field(description="The service that its labels mean, if the policy knows one.")]
    environment: str
    severity: Annotated[str, Field(description="Ours: critical, high, medium or low.")]
    firing: Annotated[bool, Field(description="Whether it fires now.")]
    fingerprint: Annotated[str, Field(description="By this its source tells it from its other alerts.")]
    labels: dict[str, str]
    annotations: dict[str, str]
    generator_url: str | None
    first_seen_at: datetime
    last_seen_at: Annotated[datetime, Field(description="When its source last said anything about it.")]


class AlertList(Listing[AlertResponse]):
    """A page of the list of alerts."""


class AlertEpisodeResponse(ResponseModel):
    """One time that the alert fired."""

    id: int
    incident: Annotated[str, Field(examples=["INC-42"])]
    opened_at: datetime
    closed_at: datetime | None
    last_notification_at: datetime
    notifications: Annotated[int, Field(description="How often the sender said so.")]


class AlertIncidentResponse(ResponseModel):
    """An incident that the alert belongs to."""

    incident: Annotated[str, Field(examples=["INC-42"])]
    title: str
    status: Status
    opened_at: datetime
    resolved_at: datetime | None


class AlertWhole(AlertResponse):
    """One alert with the times it fired."""

    episodes: Annotated[list[AlertEpisodeResponse], Field(description="The newest 100, newest first.")]
    incidents: Annotated[list[AlertIncidentResponse], Field(description="Those of these episodes, newest first.")]


def _is_none(value: object) -> bool:
    return value is None


class TakenAlert(ResponseModel):
    """What became of one alert."""

    place: Annotated[int, Field(description="Its place in what was sent, from 0.")]
    fingerprint: Annotated[str | None, Field(exclude_if=_is_none, description="By this it is known from now on.")] = (
        None
    )
    result: Annotated[
        Result,
        Field(
            description="`opened`: it fires; `extended`: it still does, with another start; `closed`: it is resolved; "
            "`duplicate` and `late`: nothing new; `rejected`: kept aside, for the reason told."
        ),
    ]
    reason: Annotated[str | None, Field(exclude_if=_is_none)] = None
    message: Annotated[str | None, Field(exclude_if=_is_none, description="What is wrong with it.")] = None


class Taken(ResponseModel):
    """What became of what was sent."""

    source: str
    accepted: int
    rejected: Annotated[int, Field(description="Kept aside with their reasons; the others were taken.")]
    truncated: Annotated[int, Field(description="How many the sender left out.")]
    alerts: Annotated[list[TakenAlert], Field(description="In the order sent.")]


class DeadLetterResponse(ResponseModel):
    """Something that was sent and could not be accepted."""

    id: int
    received_at: datetime
    source: str
    reason: str
    message: Annotated[str, Field(description="What is wrong with it.")]
    place: Annotated[int | None, Field(description="Its place in what was sent, from 0.")]
    occurrences: Annotated[
        int, Field(description="How many it stands for: beyond a limit, what has the same reason is only counted.")
    ]
    body: Annotated[str, Field(description="As it came, at most 64 KiB of it.")]


class RejectedList(Listing[DeadLetterResponse]):
    """A page of the list of dead letters."""


class RetryResponse(ResponseModel):
    """What became of it when it was read again."""

    id: int
    result: Annotated[str, Field(description="As of an alert that is sent, or `still rejected`.")]
    message: Annotated[str, Field(description="What is still wrong with it.")]


def show_alert(listed: ListedAlert) -> AlertResponse:
    """An alert as programs see it."""
    return AlertResponse(**_fields(listed))


def show_alert_whole(listed: ListedAlert, episodes: Sequence[tuple[Episode, Incident]]) -> AlertWhole:
    """An alert with its episodes and their incidents."""
    incidents = {incident.id: incident for _, incident in episodes}
    return AlertWhole(
        **_fields(listed),
        episodes=[_show_episode(episode, incident) for episode, incident in episodes],
        incidents=[_show_incident(incident) for incident in incidents.values()],
    )


def show_rejected(one: DeadLetter) -> DeadLetterResponse:
    """A dead letter as programs see it."""
    told = {
        "message": one.details.get("message", ""),
        "place": one.details.get("place"),
        "occurrences": one.details.get("occurrences", 1),
    }
    own = {name: getattr(one, name) for name in DeadLetterResponse.model_fields if name not in told}
    return DeadLetterResponse(**own, **told)


def _fields(listed: ListedAlert) -> dict[str, Any]:
    own = {name: getattr(listed.alert, name) for name in AlertResponse.model_fields if name != "firing"}
    return {**own, "firing": listed.is_firing}


def _show_episode(episode: Episode, incident: Incident) -> AlertEpisodeResponse:
    own = {name: getattr(episode, name) for name in AlertEpisodeResponse.model_fields if name != "incident"}
    return AlertEpisodeResponse(incident=f"INC-{incident.number}", **own)


def _show_incident(incident: Incident) -> AlertIncidentResponse:
    own = {name: getattr(incident, name) for name in AlertIncidentResponse.model_fields if name != "incident"}
    return AlertIncidentResponse(incident=f"INC-{incident.number}", **own)
