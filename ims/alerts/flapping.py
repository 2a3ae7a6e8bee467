"""Which alerts come and go too often. Their incidents are marked, once, and the guards see it.

What is counted are the episodes of one alert. Those of all alerts with one correlation key would make a flapping
incident of every outage in which many alerts fire once.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from ims.actors import SYSTEM
from ims.alerts import statements
from ims.alerts.batch import AlertKey, Batch, Turn
from ims.incidents.models import EventKind
from ims.incidents.timeline import NewEvent
from ims.policy.schema import Flapping


def mark_flapping(
    session: Session, batch: Batch, known: Sequence[AlertKey], limits: Flapping, now: datetime
) -> list[NewEvent]:
    """Mark the locked incidents of alerts that opened an episode once too often; what their timelines shall say.

    One statement for a batch, and none when no alert fires again: first alerts, a storm of them too, cost nothing.
    """
    again = _openings_of_old_alerts(batch, known)
    if not again:
        return []
    columns = {
        "alerts": [turn.alert_id for turn in again],
        "incidents": [turn.episode.incident_id for turn in again],
        "since": now - timedelta(seconds=limits.within),
        "most": limits.episodes,
        "now": now,
    }
    names = {turn.alert_id: turn.notice.name for turn in again}
    return [
        NewEvent(
            row.id,
            EventKind.FLAPPING,
            SYSTEM,
            {"alert": names[row.alert_id], "episodes": limits.episodes, "within": limits.within},
        )
        for row in session.execute(statements.MARK_FLAPPING, columns)
    ]


def _openings_of_old_alerts(batch: Batch, known: Sequence[AlertKey]) -> list[Turn]:
    """Openings by alerts that were there before, or that open several times in this batch."""
    old = {batch.alert_ids[key] for key in known}
    times = Counter(turn.alert_id for turn in batch.openings)
    return [turn for turn in batch.openings if turn.alert_id in old or times[turn.alert_id] > 1]
