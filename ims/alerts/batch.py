"""What a batch of notices becomes: decided in memory, between one reading and one writing of the database. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from ims.alerts.correlation import Placement, is_worse
from ims.alerts.episodes import AlertState, EpisodeState, Result
from ims.alerts.notifications import Notice, NoticeStatus
from ims.core.actors import Actor, ActorKind
from ims.core.severity import Severity
from ims.incidents.models import EventKind, Status
from ims.incidents.transitions import NewEvent
from ims.policy.schema import Correlation

TITLE_LENGTH = 200
DESCRIPTION_LENGTH = 4000
URL_LENGTH = 2000

AlertKey = tuple[str, str]
"""(source, fingerprint)."""


@dataclass(slots=True)
class KnownIncident:
    """An incident as it is under its lock."""

    id: UUID
    service: str | None
    environment: str
    severity: str
    status: str
    resolved_at: datetime | None
    opened_at: datetime
    correlation_key: str | None

    @property
    def is_unresolved(self) -> bool:
        return self.status != Status.RESOLVED


@dataclass(frozen=True, slots=True)
class NewIncident:
    """An incident to be written."""

    id: UUID
    title: str
    description: str
    placement: Placement
    labels: Mapping[str, str]
    runbook_url: str | None
    recurrence_of: UUID | None


@dataclass(frozen=True, slots=True)
class Turn:
    """A notice opened or closed an episode: what timelines tell."""

    is_opening: bool
    episode: EpisodeState
    notice: Notice
    placement: Placement
    alert_id: int


@dataclass(slots=True)
class Said:
    """What the notices of a batch say about one alert, taken together."""

    last: int = 0
    """Place of its last notice."""
    notices: int = 0
    starts: list[datetime] = field(default_factory=list)
    """Each once."""
    only_fires: bool = True
    is_untimed: bool = False
    """Some notice has no startsAt."""


@dataclass(slots=True)
class Batch:
    """Notices in the order they came, and what becomes of each."""

    notices: Sequence[Notice]
    placements: Sequence[Placement]
    said: dict[AlertKey, Said] = field(init=False)
    """In the order in which alerts are locked."""
    alert_ids: dict[AlertKey, int] = field(default_factory=dict)
    repeated: set[AlertKey] = field(default_factory=set)
    """Alerts of which nothing is new; their notices are counted already."""
    alerts: dict[AlertKey, AlertState] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    """In the order of the notices."""

    def __post_init__(self) -> None:
        said: dict[AlertKey, Said] = {}
        for place, notice in enumerate(self.notices):
            one = said.setdefault((notice.source, notice.fingerprint), Said())
            one.last, one.notices = place, one.notices + 1
            if notice.starts_at and notice.starts_at not in one.starts:
                one.starts.append(notice.starts_at)
            one.is_untimed = one.is_untimed or notice.starts_at is None
            one.only_fires = one.only_fires and notice.status is NoticeStatus.FIRING
        self.said = dict(sorted(said.items()))

    def take_all(self) -> None:
        """Apply all notices to their alerts' episodes."""
        for notice, placement in zip(self.notices, self.placements, strict=True):
            key = (notice.source, notice.fingerprint)
            if key in self.repeated:
                self.results.append(Result.DUPLICATE)
                continue
            alert = self.alerts.setdefault(key, AlertState())
            before = alert.open
            result = alert.take(notice)
            self.results.append(result)
            episode = alert.open if result is Result.OPENED else before if result is Result.CLOSED else None
            if episode:
                self.turns.append(
                    Turn(result is Result.OPENED, episode, notice, placement, alert_id=self.alert_ids[key])
                )

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
        """Episodes that were there before and have to be updated, each once."""
        found: dict[int, EpisodeState] = {}
        for alert in self.alerts.values():
            for episode in (alert.open, alert.newest_closed, *alert.closed):
                if episode and episode.id is not None and episode.is_stored and (episode.counted or episode.is_changed):
                    found[episode.id] = episode
        return [found[id_] for id_ in sorted(found)]


@dataclass(slots=True)
class Correlator:
    """Gives each opened episode its incident. Everything it reads is locked."""

    rules: Correlation
    now: datetime
    current: dict[str, UUID | None]
    """Incident of each locked key."""
    incidents: dict[UUID, KnownIncident]
    new: list[NewIncident] = field(default_factory=list)
    moved: dict[str, UUID] = field(default_factory=dict)
    """Keys that point at another incident now."""
    raised: dict[UUID, str] = field(default_factory=dict)
    before: dict[int, list[NewEvent]] = field(default_factory=dict)
    """Events that come before an opening, by `id()` of its turn."""

    def join(self, turn: Turn) -> None:
        """Find or make the incident of an opened episode."""
        placement = turn.placement
        incident = self._of_key(placement) or self._of_lesser_severity(placement)
        if incident is None:
            incident = self._make(turn)
        elif self._raises(incident, placement):
            self._raise(turn, incident)
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
        """The worst, then oldest, unresolved incident of the service that this severity is worse than."""
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
        """Whether joining makes the incident worse.

        Not when the key has pointed at it before: then a person has lowered it since, and knows better. A key without
        a service has no severity in it, so nothing tells the two apart.
        """
        is_new_to_it = placement.service is None or self.current.get(placement.key) != incident.id
        return self.rules.severity_joins and is_new_to_it and is_worse(placement.severity, incident.severity)

    def _raise(self, turn: Turn, incident: KnownIncident) -> None:
        data = {"from": incident.severity, "to": turn.placement.severity.value, "alert": turn.notice.name}
        self.raised[incident.id] = incident.severity = turn.placement.severity.value
        self._tell(turn, NewEvent(incident.id, EventKind.SEVERITY_RAISED, _sender(turn.notice), data))

    def _make(self, turn: Turn) -> KnownIncident:
        notice, placement, last = turn.notice, turn.placement, self._last_of_key(turn.placement)
        window = timedelta(seconds=self.rules.recurrence_window)
        is_recurrence = last is not None and last.resolved_at is not None and self.now - last.resolved_at < window
        new = NewIncident(
            id=uuid4(),
            title=_title(notice, placement),
            description=_description(notice),
            placement=placement,
            labels=notice.labels,
            runbook_url=_runbook(notice, placement),
            recurrence_of=last.id if last and is_recurrence else None,
        )
        self.new.append(new)
        self._tell(turn, _opened_event(new, notice))
        known = KnownIncident(
            id=new.id, service=placement.service_name, environment=placement.environment,
            severity=placement.severity.value, status=Status.OPEN, resolved_at=None, opened_at=self.now,
            correlation_key=placement.key,
        )  # fmt: skip
        self.incidents[new.id] = known
        return known

    def _tell(self, turn: Turn, event: NewEvent) -> None:
        self.before.setdefault(id(turn), []).append(event)

    def story(self, turns: Iterable[Turn]) -> Iterable[NewEvent]:
        """The timeline events of a batch, in order. Repeats leave none."""
        for turn in turns:
            yield from self.before.get(id(turn), ())
            yield _alert_event(turn)


def _title(notice: Notice, placement: Placement) -> str:
    """The sender's own summary, or the alert's name and its service."""
    summary = " ".join(notice.annotations.get("summary", "").split())
    place = placement.service_name or notice.labels.get("instance")
    return (summary or (f"{notice.name} on {place}" if place else notice.name))[:TITLE_LENGTH]


def _description(notice: Notice) -> str:
    told = notice.annotations.get("description") or notice.annotations.get("message") or ""
    return told[:DESCRIPTION_LENGTH]


def _runbook(notice: Notice, placement: Placement) -> str | None:
    """The policy's runbook, or the sender's if it is a web address: it becomes a link."""
    if placement.service and placement.service.runbook:
        return placement.service.runbook
    told = notice.annotations.get("runbook_url") or notice.annotations.get("runbook") or ""
    return told if told.startswith(("http://", "https://")) and len(told) <= URL_LENGTH else None


def _sender(notice: Notice) -> Actor:
    return Actor(ActorKind.SENDER, notice.source)


def _opened_event(new: NewIncident, notice: Notice) -> NewEvent:
    data = {
        "title": new.title,
        "service": new.placement.service_name,
        "environment": new.placement.environment,
        "severity": new.placement.severity.value,
        "recurrence_of": str(new.recurrence_of) if new.recurrence_of else None,
    }
    return NewEvent(new.id, EventKind.INCIDENT_OPENED, _sender(notice), data)


def _alert_event(turn: Turn) -> NewEvent:
    notice = turn.notice
    data = {
        "alert": notice.name,
        "alert_id": turn.alert_id,
        "episode_id": turn.episode.id,
        "instance": notice.labels.get("instance"),
        "summary": notice.annotations.get("summary", "")[:TITLE_LENGTH] or None,
    }
    if notice.was_missed:
        data["missed"] = True
    if turn.is_opening:
        data["sender_starts_at"] = notice.starts_at.isoformat() if notice.starts_at else None
        return NewEvent(turn.episode.incident_id, EventKind.ALERT_FIRING, _sender(notice), data)
    data["sender_ends_at"] = notice.ends_at.isoformat() if notice.ends_at else None
    return NewEvent(turn.episode.incident_id, EventKind.ALERT_RESOLVED, _sender(notice), data)
