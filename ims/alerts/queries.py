"""Read alerts, episodes and what was rejected."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ims.alerts.correlation import NO_POLICY
from ims.alerts.models import Alert, Episode, RejectedAlert, Source
from ims.errors import NotFound
from ims.policy.queries import active_policy
from ims.policy.schema import Policy


@dataclass(frozen=True, slots=True)
class AlertOfIncident:
    """One alert of an incident, with what its episodes in that incident add up to."""

    id: int
    source: str
    name: str
    service: str | None
    environment: str
    severity: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    generator_url: str | None
    episodes: int
    open_episodes: int
    notices: int
    first_opened_at: datetime
    last_closed_at: datetime | None
    """None while an episode is open."""
    last_notice_at: datetime

    @property
    def is_firing(self) -> bool:
        """Whether an episode is open."""
        return self.open_episodes > 0


def alerts_of_incident(session: Session, incident_id: UUID, limit: int = 500) -> list[AlertOfIncident]:
    """The alerts of an incident: firing ones first, then those that fired first."""
    open_episodes = func.count().filter(Episode.closed_at.is_(None))
    first_opened_at = func.min(Episode.opened_at)
    rows = session.execute(
        select(
            Alert,
            func.count(),
            open_episodes,
            func.sum(Episode.notices),
            first_opened_at,
            func.max(Episode.closed_at),
            func.max(Episode.last_notice_at),
        )
        .join(Alert, Alert.id == Episode.alert_id)
        .where(Episode.incident_id == incident_id)
        .group_by(Alert.id)
        .order_by((open_episodes == 0), first_opened_at, Alert.id)
        .limit(limit)
    )
    return [
        AlertOfIncident(
            id=alert.id, source=alert.source, name=alert.name, service=alert.service, environment=alert.environment,
            severity=alert.severity, labels=alert.labels, annotations=alert.annotations,
            generator_url=alert.generator_url, episodes=episodes, open_episodes=still_open, notices=notices,
            first_opened_at=opened_at, last_closed_at=None if still_open else closed_at, last_notice_at=noticed_at,
        )
        for alert, episodes, still_open, notices, opened_at, closed_at, noticed_at in rows
    ]  # fmt: skip


def episodes_of_incident(session: Session, incident_id: UUID, limit: int = 500) -> list[tuple[Episode, Alert]]:
    """The episodes of an incident with their alerts, oldest first."""
    rows = session.execute(
        select(Episode, Alert)
        .join(Alert, Alert.id == Episode.alert_id)
        .where(Episode.incident_id == incident_id)
        .order_by(Episode.opened_at, Episode.id)
        .limit(limit)
    )
    return [(episode, alert) for episode, alert in rows]


def open_episodes(session: Session, incident_id: UUID) -> int:
    """How many of an incident's alerts still fire."""
    found = select(func.count()).where(Episode.incident_id == incident_id, Episode.closed_at.is_(None))
    return session.scalar(found) or 0


def rejected_alerts(session: Session, limit: int = 100, before: int | None = None) -> list[RejectedAlert]:
    """What could not be accepted, newest first; `before` is the last id of the page before."""
    wanted = select(RejectedAlert).order_by(RejectedAlert.id.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(RejectedAlert.id < before)
    return list(session.scalars(wanted))


def source_named(session: Session, name: str) -> Source:
    """A source. Raises `NotFound`."""
    source = session.get(Source, name)
    if source is None:
        raise NotFound(f"There is no source {name}.")
    return source


def policy_in_force(session: Session) -> Policy:
    """The active policy, or the built-in defaults before the first one was loaded: alerts are taken from the start."""
    active = active_policy(session)
    return active.policy if active else NO_POLICY
