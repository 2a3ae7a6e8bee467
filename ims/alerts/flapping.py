"""Flapping: mark the incidents of alerts that fire too often, once; a guard denies healing them.

The episodes of a single alert are counted. Counting those of all alerts with the same correlation key would mark every
outage in which many alerts fire once.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from ims.alerts.batch import AlertKey, Batch, Turn
from ims.core.actors import SYSTEM
from ims.core.db.direct import Execute
from ims.incidents import transitions
from ims.incidents.models import EventKind
from ims.incidents.transitions import NewEvent
from ims.policy.schema import Flapping


def mark_flapping(
    execute: Execute, batch: Batch, known: Sequence[AlertKey], limits: Flapping, now: datetime
) -> list[NewEvent]:
    """Mark the locked incidents of alerts that opened too many episodes. Returns the events for their timelines.

    One statement for a batch, and none when no alert fires again: new alerts, even a storm of them, cost nothing.
    """
    again = _openings_of_old_alerts(batch, known)
    if not again:
        return []
    openings = [(turn.alert_id, turn.episode.incident_id) for turn in again]
    since = now - timedelta(seconds=limits.within)
    names = {turn.alert_id: turn.notification.name for turn in again}
    marked = transitions.mark_flapping(execute, openings, most=limits.episodes, since=since, now=now)
    return [
        NewEvent(
            incident_id,
            EventKind.FLAPPING,
            SYSTEM,
            {"alert": names[alert_id], "episodes": limits.episodes, "within": limits.within},
        )
        for incident_id, alert_id in marked
    ]


def _openings_of_old_alerts(batch: Batch, known: Sequence[AlertKey]) -> list[Turn]:
    """Openings by alerts that existed before, or that open several episodes in this batch."""
    old = {batch.alert_ids[key] for key in known}
    times = Counter(turn.alert_id for turn in batch.openings)
    return [turn for turn in batch.openings if turn.alert_id in old or times[turn.alert_id] > 1]
