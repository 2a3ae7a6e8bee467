"""The effects of a batch of notifications, computed in memory between reading and writing the database. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from ims.alerts.correlation import Placement, is_worse
from ims.alerts.episodes import AlertState, EpisodeState, Result
from ims.alerts.notifications import UNNAMED, AlertNotification, NotificationStatus
from ims.core.actors import SYSTEM, Actor, ActorKind
from ims.core.severity import Severity
from ims.incidents.models import EventKind, Status
from ims.incidents.transitions import NewEvent
from ims.policy.schema import Correlation, Policy, Service

TITLE_LENGTH = 200
DESCRIPTION_LENGTH = 4000
URL_LENGTH = 2000
LARGE_OFFSET = timedelta(minutes=1)
"""A sender's clock that is ahead of ours by more is reported."""

AlertKey = tuple[str, str]
"""(source, fingerprint)."""


@dataclass(slots=True)
class KnownIncident:
    """An incident, read under its lock."""

    id: UUID
    service: str | None
    environment: str
    severity: str
    status: str
    resolved_at: datetime | None
    opened_at: datetime
    correlation_key: str | None
    is_quiet: bool = False
    """Nothing fired in it."""

    @property
    def is_unresolved(self) -> bool:
        return self.status != Status.RESOLVED


@dataclass(frozen=True, slots=True)
class NewIncident:
    """An incident to write."""

    id: UUID
    title: str
    description: str
    placement: Placement
    labels: Mapping[str, str]
    runbook_url: str | None
    recurrence_of: UUID | None
    lead_alert_id: int
    """The alert whose words these are."""


@dataclass(frozen=True, slots=True)
class Lead:
    """An open alert whose words an incident is to have, for the one that it has them of is over."""

    incident_id: UUID
    alert_id: int
    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    service: str | None
    title: str
    """The incident's, until now."""
    is_titled_by_person: bool

    def words(self, policy: Policy) -> dict[str, Any]:
        """What the incident's row is to say."""
        service = policy.services.get(self.service) if self.service else None
        return {
            "id": str(self.incident_id),
            "lead_alert_id": self.alert_id,
            "title": title_of(self.name, self.labels, self.annotations, self.service),
            "description": _description(self.annotations),
            "runbook_url": _runbook(self.annotations, service),
            "labels": self.labels,
        }

    def event(self, title: str) -> NewEvent | None:
        """What the timeline tells of it: nothing, if people see the same title as before."""
        if self.is_titled_by_person or title == self.title:
            return None
        changes = {"title": {"from": self.title, "to": title}}
        return NewEvent(self.incident_id, EventKind.EDITED, SYSTEM, {"changes": changes})


@dataclass(frozen=True, slots=True)
class Turn:
    """A notification that opened or closed an episode; each becomes an event of a timeline."""

    is_opening: bool
    episode: EpisodeState
    notification: AlertNotification
    placement: Placement
    alert_id: int


@dataclass(slots=True)
class Said:
    """All notifications of a batch about one alert, combined."""

    last: int = 0
    """Index of its last notification."""
    notifications: int = 0
    starts: list[datetime] = field(default_factory=list)
    """Distinct startsAt."""
    only_fires: bool = True
    is_untimed: bool = False
    """At least one notification has no startsAt."""


@dataclass(slots=True)
class Batch:
    """Notifications in the order in which they arrived, and the result of each."""

    notifications: Sequence[AlertNotification]
    placements: Sequence[Placement]
    said: dict[AlertKey, Said] = field(init=False)
    """In the order in which alerts are locked."""
    alert_ids: dict[AlertKey, int] = field(default_factory=dict)
    repeated: set[AlertKey] = field(default_factory=set)
    """Alerts without any change; their notifications are counted already."""
    alerts: dict[AlertKey, AlertState] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    """In the order of the notifications."""
    clocks_ahead: dict[str, float] = field(default_factory=dict)
    """Of sources whose clock is not ours: seconds that it is ahead, or contradicts itself by."""

    def __post_init__(self) -> None:
        said: dict[AlertKey, Said] = {}
        for place, notification in enumerate(self.notifications):
            one = said.setdefault((notification.source, notification.fingerprint), Said())
            one.last, one.notifications = place, one.notifications + 1
            if notification.starts_at and notification.starts_at not in one.starts:
                one.starts.append(notification.starts_at)
            one.is_untimed = one.is_untimed or notification.starts_at is None
            one.only_fires = one.only_fires and notification.status is NotificationStatus.FIRING
        self.said = dict(sorted(said.items()))

    def take_all(self, now: datetime) -> None:
        """Apply all notifications to their alerts' episodes."""
        too_late = now + LARGE_OFFSET
        for notification, placement in zip(self.notifications, self.placements, strict=True):
            key = (notification.source, notification.fingerprint)
            sender_time = notification.starts_at or notification.ends_at
            if sender_time is not None and sender_time > too_late:
                self._note_clock(notification.source, sender_time - now)
            if key in self.repeated:
                self.results.append(Result.DUPLICATE)
                continue
            alert = self.alerts.setdefault(key, AlertState())
            before = alert.open
            result = alert.take(notification, now)
            self.results.append(result)
            if alert.contradiction > LARGE_OFFSET:
                self._note_clock(notification.source, alert.contradiction)
            episode = alert.open if result is Result.OPENED else before if result is Result.CLOSED else None
            if episode:
                self.turns.append(
                    Turn(result is Result.OPENED, episode, notification, placement, alert_id=self.alert_ids[key])
                )

    def _note_clock(self, source: str, ahead: timedelta) -> None:
        self.clocks_ahead[source] = max(self.clocks_ahead.get(source, 0.0), ahead.total_seconds())

    @property
    def openings(self) -> list[Turn]:
        """The turns that opened an episode."""
        return [turn for turn in self.turns if turn.is_opening]

    @property
    def closings(self) -> list[Turn]:
        """The turns that closed an episode."""
        return [turn for turn in self.turns if not turn.is_opening]

    @property
    def changed_episodes(self) -> list[EpisodeState]:
        """Stored episodes to update, each once."""
        found: dict[int, EpisodeState] = {}
        for alert in self.alerts.values():
            for episode in (alert.open, alert.newest_closed, *alert.closed):
                if episode and episode.id is not None and episode.is_stored and (episode.counted or episode.is_changed):
                    found[episode.id] = episode
        return [found[id_] for id_ in sorted(found)]


@dataclass(slots=True)
class Correlator:
    """Assigns an incident to each opened episode. Everything it reads is locked."""

    rules: Correlation
    now: datetime
    current: dict[str, UUID | None]
    """The incident of each locked key."""
    incidents: dict[UUID, KnownIncident]
    new: list[NewIncident] = field(default_factory=list)
    moved: dict[str, UUID] = field(default_factory=dict)
    """Keys that now point at another incident."""
    raised: dict[UUID, str] = field(default_factory=dict)
    awoken: set[UUID] = field(default_factory=set)
    """Incidents in which nothing fired, and does now: their words are of what is over."""
    before: dict[int, list[NewEvent]] = field(default_factory=dict)
    """Events that precede an opening in the timeline, by `id()` of its turn."""

    def join(self, turn: Turn) -> None:
        """Find or create the incident of an opened episode."""
        placement = turn.placement
        incident = self._of_key(placement) or self._of_lesser_severity(placement)
        if incident is None:
            incident = self._make(turn)
        elif self._raises(incident, placement):
            self._raise(turn, incident)
        if incident.is_quiet:
            self.awoken.add(incident.id)
        if self.current.get(placement.key) != incident.id:
            self.current[placement.key] = self.moved[placement.key] = incident.id
        turn.episode.incident_id = incident.id

    def _of_key(self, placement: Placement) -> KnownIncident | None:
        incident = self._last_of_key(placement)
        return incident if incident and incident.is_unresolved else None

    def _last_of_key(self, placement: Placement) -> KnownIncident | None:
        id_ = self.current.get(placement.key)
        return self.incidents.get(id_) if id_ else None

    def _of_lesser_severity(self, placement: Placement) -> KnownIncident | None:
        """The worst, then oldest, unresolved incident of the service with a lower severity than this alert."""
        if not self.rules.severity_joins or placement.service is None:
            return None
        lesser = [
            incident
            for incident in self.incidents.values()
            if incident.is_unresolved
            and incident.correlation_key is not None
            and (incident.service, incident.environment) == (placement.service_name, placement.environment)
            and is_worse(placement.severity, incident.severity)
        ]
        order = list(Severity)
        return min(
            lesser, key=lambda one: (order.index(Severity(one.severity)), one.opened_at, str(one.id)), default=None
        )

    def _raises(self, incident: KnownIncident, placement: Placement) -> bool:
        """Whether joining raises the incident's severity.

        It does not when the key already points at the incident: then a person has lowered the severity since. A key
        without a service does not contain a severity, so for it the two cases cannot be distinguished.
        """
        is_new_to_it = placement.service is None or self.current.get(placement.key) != incident.id
        return self.rules.severity_joins and is_new_to_it and is_worse(placement.severity, incident.severity)

    def _raise(self, turn: Turn, incident: KnownIncident) -> None:
        data = {"from": incident.severity, "to": turn.placement.severity.value, "alert": turn.notification.name}
        self.raised[incident.id] = incident.severity = turn.placement.severity.value
        self._add_before(turn, NewEvent(incident.id, EventKind.SEVERITY_RAISED, _sender(turn.notification), data))

    def _make(self, turn: Turn) -> KnownIncident:
        notification, placement, last = turn.notification, turn.placement, self._last_of_key(turn.placement)
        window = timedelta(seconds=self.rules.recurrence_window)
        is_recurrence = last is not None and last.resolved_at is not None and self.now - last.resolved_at < window
        new = NewIncident(
            id=uuid4(),
            title=title_of(notification.name, notification.labels, notification.annotations, placement.service_name),
            description=_description(notification.annotations),
            placement=placement,
            labels=notification.labels,
            runbook_url=_runbook(notification.annotations, placement.service),
            recurrence_of=last.id if last and is_recurrence else None,
            lead_alert_id=turn.alert_id,
        )
        self.new.append(new)
        self._add_before(turn, _opened_event(new, notification))
        known = KnownIncident(
            id=new.id, service=placement.service_name, environment=placement.environment,
            severity=placement.severity.value, status=Status.OPEN, resolved_at=None, opened_at=self.now,
            correlation_key=placement.key,
        )  # fmt: skip
        self.incidents[new.id] = known
        return known

    def _add_before(self, turn: Turn, event: NewEvent) -> None:
        self.before.setdefault(id(turn), []).append(event)

    def events(self, turns: Iterable[Turn]) -> Iterable[NewEvent]:
        """The timeline events of a batch, in order. Duplicates have none."""
        for turn in turns:
            yield from self.before.get(id(turn), ())
            yield _alert_event(turn)


def title_of(name: str, labels: Mapping[str, str], annotations: Mapping[str, str], service: str | None) -> str:
    """The sender's summary, or else the alert's name and service."""
    if summary := " ".join(annotations.get("summary", "").split()):
        return summary[:TITLE_LENGTH]
    if name == UNNAMED and "alertname" not in labels:
        said = ", ".join(f"{label}={labels[label]}" for label in sorted(labels) if label != "severity")
        return (said or _first_line(annotations) or name)[:TITLE_LENGTH]
    if rule := labels.get("rulename"):
        # Grafana's alerts of rules without data are all called the same.
        name = f"{rule}: {name}"
    place = service or labels.get("instance")
    return (f"{name} on {place}" if place else name)[:TITLE_LENGTH]


def _first_line(annotations: Mapping[str, str]) -> str:
    return _description(annotations).strip().partition("\n")[0]


def _description(annotations: Mapping[str, str]) -> str:
    description = annotations.get("description") or annotations.get("message") or ""
    return description[:DESCRIPTION_LENGTH]


def _runbook(annotations: Mapping[str, str], service: Service | None) -> str | None:
    """The policy's runbook, or else the sender's if it is an http(s) URL, since pages show it as a link."""
    if service and service.runbook:
        return service.runbook
    url = annotations.get("runbook_url") or annotations.get("runbook") or ""
    return url if url.startswith(("http://", "https://")) and len(url) <= URL_LENGTH else None


UNPROVEN_ENDS = frozenset(("paused", "ruledeleted", "updated", "missingseries"))
"""What Grafana calls the reasons for which an alert ends that nobody has seen recover, in small letters."""
STILL_OPEN_ENDS = UNPROVEN_ENDS - {"missingseries"}
"""Of these, those that say nothing of what the alert was about: a person decided, or nobody asks any more."""


def unproven_end(notification: AlertNotification) -> str | None:
    """Why a resolved alert has not recovered, as far as its sender says."""
    reason = notification.annotations.get("grafana_state_reason", "").lower()
    return next((one for one in reason.replace(",", " ").split() if one in UNPROVEN_ENDS), None)


def _sender(notification: AlertNotification) -> Actor:
    return Actor(ActorKind.SENDER, notification.source)


def _opened_event(new: NewIncident, notification: AlertNotification) -> NewEvent:
    data = {
        "title": new.title,
        "service": new.placement.service_name,
        "environment": new.placement.environment,
        "severity": new.placement.severity.value,
        "recurrence_of": str(new.recurrence_of) if new.recurrence_of else None,
    }
    return NewEvent(new.id, EventKind.INCIDENT_OPENED, _sender(notification), data)


def _alert_event(turn: Turn) -> NewEvent:
    notification = turn.notification
    data = {
        "alert": notification.name,
        "alert_id": turn.alert_id,
        "episode_id": turn.episode.id,
        "instance": notification.labels.get("instance"),
        "summary": notification.annotations.get("summary", "")[:TITLE_LENGTH] or None,
    }
    if notification.was_missed:
        data["missed"] = True
    if not turn.is_opening and (reason := unproven_end(notification)):
        data["unproven"] = reason
    if turn.is_opening:
        data["sender_starts_at"] = notification.starts_at.isoformat() if notification.starts_at else None
        return NewEvent(turn.episode.incident_id, EventKind.ALERT_FIRING, _sender(notification), data)
    data["sender_ends_at"] = notification.ends_at.isoformat() if notification.ends_at else None
    return NewEvent(turn.episode.incident_id, EventKind.ALERT_RESOLVED, _sender(notification), data)
