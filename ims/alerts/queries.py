"""Reading the alerts of an incident."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from ims.alerts.models import Alert, Episode


@dataclass(frozen=True, slots=True)
class AlertSeen:
    """An alert of an incident with its episodes in it, oldest first."""

    alert: Alert
    episodes: Sequence[Episode]


def alerts_of(session: Session, incident_id: UUID, limit: int = 200) -> list[AlertSeen]:
    """The incident's alerts in the order in which they first fired, each with its episodes."""
    query = (
        select(Episode, Alert)
        .join(Alert, Alert.id == Episode.alert_id)
        .where(Episode.incident_id == incident_id)
        .order_by(Episode.opened_at, Episode.id)
        .limit(limit)
    )
    alerts: dict[int, Alert] = {}
    episodes: dict[int, list[Episode]] = defaultdict(list)
    for episode, alert in session.execute(query):
        alerts[alert.id] = alert
        episodes[alert.id].append(episode)
    return [AlertSeen(alert, episodes[alert.id]) for alert in alerts.values()]
