"""Record how many alerts a sender left out that IMS cannot fetch. The source and the incidents show the number."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import text, update
from sqlalchemy.orm import Session

from ims.core.actors import Actor, ActorKind
from ims.incidents import transitions
from ims.incidents.models import EventKind
from ims.incidents.transitions import NewEvent
from ims.sources.models import Source

# Incidents whose last such event has another number: a large group is notified again and again.
_NOT_YET_KNOWN: Final = text(
    """
    SELECT DISTINCT episode.incident_id FROM episode JOIN alert ON alert.id = episode.alert_id
    WHERE alert.source = :source AND alert.fingerprint = ANY(:fingerprints) AND episode.closed_at IS NULL
      AND coalesce((
        SELECT CAST(data ->> 'alerts' AS integer) FROM timeline_event AS known
        WHERE known.incident_id = episode.incident_id AND known.kind = 'alerts_truncated'
        ORDER BY seq DESC LIMIT 1), 0) <> :alerts
    ORDER BY 1
    """
)


def record_truncated(session: Session, source: str, alerts: int, fingerprints: Sequence[str], now: datetime) -> None:
    """Store the number at the source, and add an event to the incidents of these firing alerts of the source."""
    session.execute(update(Source).where(Source.name == source).values(truncated_alerts=alerts, truncated_at=now))
    given = {"source": source, "fingerprints": list(fingerprints), "alerts": alerts}
    actor = Actor(ActorKind.SENDER, source)
    events = [
        NewEvent(id_, EventKind.ALERTS_TRUNCATED, actor, {"alerts": alerts})
        for id_ in session.scalars(_NOT_YET_KNOWN, given)
    ]
    transitions.append(session, events, now)
