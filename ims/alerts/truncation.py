"""What a sender cut and nobody can be asked for: marked on its source, and told in the incidents of what it did not cut."""

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
_TOLD_NOT_YET: Final = text(
    """
    SELECT DISTINCT episode.incident_id FROM episode JOIN alert ON alert.id = episode.alert_id
    WHERE alert.source = :source AND alert.fingerprint = ANY(:fingerprints) AND episode.closed_at IS NULL
      AND coalesce((
        SELECT CAST(data ->> 'alerts' AS integer) FROM timeline_event AS told
        WHERE told.incident_id = episode.incident_id AND told.kind = 'alerts_truncated'
        ORDER BY seq DESC LIMIT 1), 0) <> :alerts
    ORDER BY 1
    """
)


def tell_truncated(session: Session, source: str, alerts: int, fingerprints: Sequence[str], now: datetime) -> None:
    """Mark the source, and tell the incidents in which these alerts of it fire."""
    session.execute(update(Source).where(Source.name == source).values(truncated_alerts=alerts, truncated_at=now))
    given = {"source": source, "fingerprints": list(fingerprints), "alerts": alerts}
    actor = Actor(ActorKind.SENDER, source)
    events = [
        NewEvent(id_, EventKind.ALERTS_TRUNCATED, actor, {"alerts": alerts})
        for id_ in session.scalars(_TOLD_NOT_YET, given)
    ]
    transitions.append(session, events, now)
