"""A small model of how notifications become incidents, written from the rules and not from the code."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

WORST_FIRST = ("critical", "high", "medium", "low")


@dataclass(frozen=True)
class Said:
    """A notification as the model sees it: who it is about, and the sender's times."""

    alert: str
    service: str | None
    name: str
    severity: str
    is_firing: bool
    starts: datetime | None
    ends: datetime | None


@dataclass
class ModelIncident:
    key: tuple[str, ...]
    service: str | None
    severity: str
    recurrence_of: "ModelIncident | None"
    opened_at: datetime
    status: str = "open"
    resolved_at: datetime | None = None
    events: Counter[str] = field(default_factory=Counter)


@dataclass
class ModelEpisode:
    alert: str
    incident: ModelIncident
    starts: list[datetime]
    notifications: int = 1
    is_open: bool = True


@dataclass
class Model:
    """All that was heard, and what must have come of it."""

    severity_joins: bool
    resolves: bool
    recurrence_window: timedelta = timedelta(seconds=300)
    episodes: list[ModelEpisode] = field(default_factory=list)
    incidents: list[ModelIncident] = field(default_factory=list)
    keys: dict[tuple[str, ...], ModelIncident] = field(default_factory=dict)
    decides: int = 0

    def hear(self, batch: list[Said], now: datetime) -> list[str]:
        """One batch: the notifications in order, then the incidents whose last episode closed."""
        opened: list[ModelEpisode] = []
        closed: list[ModelEpisode] = []
        results = [self._hear_one(said, now, opened, closed) for said in batch]
        self.decides += any(episode.is_open for episode in opened)
        for incident in {id(episode.incident): episode.incident for episode in closed}.values():
            still = any(episode.is_open for episode in self.episodes if episode.incident is incident)
            if self.resolves and not still and incident.status != "resolved":
                self.resolve(incident, now)
        return results

    def resolve(self, incident: ModelIncident, now: datetime) -> None:
        incident.status, incident.resolved_at = "resolved", now
        incident.events["resolved"] += 1

    def _hear_one(self, said: Said, now: datetime, opened: list[ModelEpisode], closed: list[ModelEpisode]) -> str:
        mine = [episode for episode in self.episodes if episode.alert == said.alert]
        current = next((episode for episode in mine if episode.is_open), None)
        if said.is_firing and current and self._fires_anew(said, current, now):
            current.is_open, current = False, None
        if said.is_firing and current is None:
            for episode in mine:
                if said.starts in episode.starts:
                    episode.notifications += 1
                    return "late"
            opened.append(self._open(said, now))
            return "opened"
        if said.is_firing and current:
            current.notifications += 1
            if said.starts is None or said.starts in current.starts:
                return "duplicate"
            current.starts.append(said.starts)
            return "extended"
        if current is None:
            if mine:
                mine[-1].notifications += 1
            return "duplicate"
        current.notifications += 1
        if said.ends and current.starts and self._is_of_an_older_start(said, current):
            return "late"
        current.is_open = False
        current.incident.events["alert_resolved"] += 1
        closed.append(current)
        return "closed"

    @staticmethod
    def _is_of_an_older_start(said: Said, current: ModelEpisode) -> bool:
        """Only who names an earlier start and ended before the latest can be late: an end alone is a clock's word."""
        latest = max(current.starts)
        return said.starts is not None and said.ends is not None and said.starts < latest and said.ends < latest

    def _fires_anew(self, said: Said, current: ModelEpisode, now: datetime) -> bool:
        """A person has resolved it, and it fires again as a new episode."""
        left_at = current.incident.resolved_at
        if left_at is None:
            return False
        if said.starts is None:
            return now - left_at >= timedelta(minutes=5)
        return not current.starts or said.starts > max(current.starts)

    def _open(self, said: Said, now: datetime) -> ModelEpisode:
        key = ("service", said.service, said.severity) if said.service else ("alert", said.name)
        last = self.keys.get(key)
        incident = last if last and last.status != "resolved" else self._lesser(said)
        if incident is None:
            is_recurrence = last is not None and last.resolved_at and now - last.resolved_at < self.recurrence_window
            incident = ModelIncident(key, said.service, said.severity, last if is_recurrence else None, now)
            incident.events["incident_opened"] += 1
            self.incidents.append(incident)
        elif self._is_worse(said.severity, incident) and (said.service is None or incident is not last):
            incident.severity = said.severity
            incident.events["severity_raised"] += 1
        incident.events["alert_firing"] += 1
        self.keys[key] = incident
        episode = ModelEpisode(said.alert, incident, [said.starts] if said.starts else [])
        self.episodes.append(episode)
        return episode

    def _is_worse(self, severity: str, incident: ModelIncident) -> bool:
        return self.severity_joins and WORST_FIRST.index(severity) < WORST_FIRST.index(incident.severity)

    def _lesser(self, said: Said) -> ModelIncident | None:
        lesser = [
            incident
            for incident in self.incidents
            if said.service
            and incident.service == said.service
            and incident.status != "resolved"
            and self._is_worse(said.severity, incident)
        ]
        # Stable: of the worst, the one that was opened first.
        return min(lesser, key=lambda one: WORST_FIRST.index(one.severity), default=None)
