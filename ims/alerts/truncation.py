"""Alerts that a sender left out and that cannot be fetched: their number is shown at the source and in incidents."""

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

# Once for each incident and number: a group is notified again and again while it is as large.
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
    """Mark the source, and add a line to the incidents in which these alerts of it fire."""
    session.execute(update(Source).where(Source.name == source).values(truncated_alerts=alerts, truncated_at=now))
    given = {"source": source, "fingerprints": list(fingerprints), "alerts": alerts}
    actor = Actor(ActorKind.SENDER, source)
    events = [
        NewEvent(id_, EventKind.ALERTS_TRUNCATED, actor, {"alerts": alerts})
        for id_ in session.scalars(_NOT_YET_KNOWN, given)
    ]
    transitions.append(session, events, now)
