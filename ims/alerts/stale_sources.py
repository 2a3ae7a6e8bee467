"""Sources from which nothing came for too long, and the alert that tells.

A sign of life is a notification, or an answer of the source's own Alertmanager. The alert is one like any other, of source
`ims`: it opens an incident, and resolves when the source is heard again.
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
"""Whatever this source would have told us is not told."""
OWN_KIND: Final = "internal"


@dataclass(frozen=True, slots=True)
class Turned:
    """Sources whose silence began or ended now. `since` is when they were last heard."""

    stale: tuple[tuple[str, datetime], ...] = ()
    heard: tuple[tuple[str, datetime], ...] = ()
    outcome: Outcome | None = None


# Who is stale: 0 never, a number after so many seconds, nothing said as the setting, if the source can be asked.
_TURN = text(
    """
    WITH judged AS (
        SELECT name, stale_since, heard_at,
               disabled_at IS NULL AND patience > 0
               AND heard_at < CAST(:now AS timestamptz) - make_interval(secs => patience)
               -- While IMS was down nothing could be heard; a silence that was told goes on until it ends.
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
    """Mark the sources whose silence began or ended, and take the alerts that tell.

    Time before `watching_since` begins no silence.
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
    """The notification that a source's silence begins or ends."""
    labels = {"alertname": ALERT_NAME, "source": source, "severity": SEVERITY}
    return AlertNotification(
        source=OWN_SOURCE,
        fingerprint=labels_fingerprint(labels),
        status=NotificationStatus.FIRING if is_stale else NotificationStatus.RESOLVED,
        name=ALERT_NAME,
        labels=labels,
        annotations={
            "summary": f"Nothing comes from source {source}",
            "description": f"Source {source} was last heard at {heard_at:%Y-%m-%d %H:%M:%S} UTC: neither a notification came "
            "nor did its own Alertmanager answer. What it should tell is not told. See whether it runs, whether it "
            f"reaches the webhook with a valid token, and `ims source show {source}`.",
        },
        starts_at=now if is_stale else None,
        ends_at=None if is_stale else now,
        generator_url=None,
    )


def silences(session: Session) -> Sequence[tuple[str, bool]]:
    """Every source that is not ours and whether it is stale."""
    wanted = select(Source.name, Source.stale_since.is_not(None)).where(Source.name != OWN_SOURCE)
    return [(name, is_stale) for name, is_stale in session.execute(wanted)]
