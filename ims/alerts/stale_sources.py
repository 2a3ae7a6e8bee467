"""Stale sources, which have sent no data for too long, and the alert SourceStale about them.

Data is a notification, or a response of the source's own Alertmanager. The alert is handled like any other, with source
`ims`: it opens an incident, and resolves when the source sends data again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ims.alerts.ingest import Outcome, ingest
from ims.alerts.notifications import AlertNotification, NotificationStatus, labels_fingerprint
from ims.policy.queries import policy_in_force
from ims.sources.definition import OWN_SOURCE
from ims.sources.models import Source

ALERT_NAME: Final = "SourceStale"
SEVERITY: Final = "high"
"""Alerts of a stale source may be missing."""
OWN_KIND: Final = "internal"


@dataclass(frozen=True, slots=True)
class Turned:
    """Sources that became stale, or that sent data again, each with the time of its last data."""

    stale: tuple[tuple[str, datetime], ...] = ()
    heard: tuple[tuple[str, datetime], ...] = ()
    outcome: Outcome | None = None


# `stale_after` of a source is in seconds; 0 is never. Without it the setting applies, to sources that can be polled.
_TURN = text(
    """
    WITH judged AS (
        SELECT name, stale_since, heard_at,
               disabled_at IS NULL AND patience > 0
               AND heard_at < CAST(:now AS timestamptz) - make_interval(secs => patience)
               -- While IMS was down it could not receive data; a source that was stale before stays stale until then.
               AND (stale_since IS NOT NULL
                    OR CAST(:since AS timestamptz) < CAST(:now AS timestamptz) - make_interval(secs => patience))
               AS is_stale
        FROM (
            SELECT name, stale_since, disabled_at,
                   greatest(created_at, last_notification_at, reconciled_at) AS heard_at,
                   coalesce(stale_after, CASE WHEN alertmanager_url IS NULL THEN 0
                                               ELSE CAST(:patience AS double precision) END) AS patience
            FROM source WHERE name <> :own
            FOR NO KEY UPDATE SKIP LOCKED
        ) AS source
    )
    UPDATE source SET stale_since = CASE WHEN judged.is_stale THEN judged.heard_at END
    FROM judged
    WHERE source.name = judged.name AND judged.is_stale <> (judged.stale_since IS NOT NULL)
    RETURNING source.name, judged.heard_at, judged.is_stale
    """
)


def turn_stale(session: Session, patience: timedelta, now: datetime, *, watching_since: datetime) -> Turned:
    """Mark the sources that became stale or sent data again, and ingest the alerts about them.

    Time before `watching_since` does not make a source stale.
    """
    times = {"patience": patience.total_seconds(), "since": watching_since, "now": now}
    rows = session.execute(_TURN, {**times, "own": OWN_SOURCE}).all()
    if not rows:
        return Turned()
    own = {"name": OWN_SOURCE, "kind": OWN_KIND, "created_at": now}
    session.execute(insert(Source).values(**own).on_conflict_do_nothing())
    notifications = [staleness_notification(row.name, row.heard_at, is_stale=row.is_stale, now=now) for row in rows]
    return Turned(
        stale=tuple((row.name, row.heard_at) for row in rows if row.is_stale),
        heard=tuple((row.name, row.heard_at) for row in rows if not row.is_stale),
        outcome=ingest(session, notifications, [], policy_in_force(session), now),
    )


def staleness_notification(source: str, heard_at: datetime, *, is_stale: bool, now: datetime) -> AlertNotification:
    """The notification that a source became stale, or that it sent data again."""
    labels = {"alertname": ALERT_NAME, "source": source, "severity": SEVERITY}
    return AlertNotification(
        source=OWN_SOURCE,
        fingerprint=labels_fingerprint(labels),
        status=NotificationStatus.FIRING if is_stale else NotificationStatus.RESOLVED,
        name=ALERT_NAME,
        labels=labels,
        annotations={
            "summary": f"Source {source} is stale",
            "description": f"IMS last received data from source {source} at {heard_at:%Y-%m-%d %H:%M:%S} UTC. Since "
            "then no notification has arrived, and its Alertmanager has not answered. Alerts of this source may be "
            "missing. Check that it runs, that it reaches the webhook with a valid token, and "
            f"`ims source show {source}`.",
        },
        starts_at=now if is_stale else None,
        ends_at=None if is_stale else now,
        generator_url=None,
        group=(("source", source),),
    )


def stale_states(session: Session) -> Sequence[tuple[str, bool]]:
    """Every source, except the one of IMS itself, and whether it is stale."""
    wanted = select(Source.name, Source.stale_since.is_not(None)).where(Source.name != OWN_SOURCE)
    return [(name, is_stale) for name, is_stale in session.execute(wanted)]
