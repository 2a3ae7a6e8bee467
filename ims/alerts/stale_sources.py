"""Sources from which nothing came for too long, and the alert that tells.

A sign of life is a notice, or an answer of the source's own Alertmanager. The alert is one like any other, of source
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
from ims.alerts.notifications import Notice, NoticeStatus, labels_fingerprint
from ims.policy.queries import policy_in_force
from ims.sources.definition import OWN_SOURCE
from ims.sources.models import Source

ALERT_NAME: Final = "SourceSilent"
SEVERITY: Final = "high"
"""Whatever this source would have told us is not told."""
OWN_KIND: Final = "internal"


@dataclass(frozen=True, slots=True)
class Turned:
    """Sources whose silence began or ended now. `since` is when they were last heard."""

    silent: tuple[tuple[str, datetime], ...] = ()
    heard: tuple[tuple[str, datetime], ...] = ()
    outcome: Outcome | None = None


# Who is silent: 0 never, a number after so many seconds, nothing said as the setting, if the source can be asked.
_TURN = text(
    """
    WITH judged AS (
        SELECT name, silent_since, heard_at,
               disabled_at IS NULL AND patience > 0
               AND heard_at < CAST(:now AS timestamptz) - make_interval(secs => patience)
               -- While IMS was down nothing could be heard; a silence that was told goes on until it ends.
               AND (silent_since IS NOT NULL
                    OR CAST(:since AS timestamptz) < CAST(:now AS timestamptz) - make_interval(secs => patience))
               AS is_silent
        FROM (
            SELECT name, silent_since, disabled_at,
                   greatest(created_at, last_notice_at, repaired_at) AS heard_at,
                   coalesce(silent_after, CASE WHEN alertmanager_url IS NULL THEN 0
                                               ELSE CAST(:patience AS double precision) END) AS patience
            FROM source WHERE name <> :own
            FOR NO KEY UPDATE SKIP LOCKED
        ) AS source
    )
    UPDATE source SET silent_since = CASE WHEN judged.is_silent THEN judged.heard_at END
    FROM judged
    WHERE source.name = judged.name AND judged.is_silent <> (judged.silent_since IS NOT NULL)
    RETURNING source.name, judged.heard_at, judged.is_silent
    """
)


def turn_silent(session: Session, patience: timedelta, now: datetime, *, watching_since: datetime) -> Turned:
    """Mark the sources whose silence began or ended, and take the alerts that tell.

    Time before `watching_since` begins no silence.
    """
    times = {"patience": patience.total_seconds(), "since": watching_since, "now": now}
    rows = session.execute(_TURN, {**times, "own": OWN_SOURCE}).all()
    if not rows:
        return Turned()
    own = {"name": OWN_SOURCE, "kind": OWN_KIND, "created_at": now}
    session.execute(insert(Source).values(**own).on_conflict_do_nothing())
    notices = [silence_notice(row.name, row.heard_at, is_silent=row.is_silent, now=now) for row in rows]
    return Turned(
        silent=tuple((row.name, row.heard_at) for row in rows if row.is_silent),
        heard=tuple((row.name, row.heard_at) for row in rows if not row.is_silent),
        outcome=ingest(session, notices, [], policy_in_force(session), now),
    )


def silence_notice(source: str, heard_at: datetime, *, is_silent: bool, now: datetime) -> Notice:
    """The notice that a source's silence begins or ends."""
    labels = {"alertname": ALERT_NAME, "source": source, "severity": SEVERITY}
    return Notice(
        source=OWN_SOURCE,
        fingerprint=labels_fingerprint(labels),
        status=NoticeStatus.FIRING if is_silent else NoticeStatus.RESOLVED,
        name=ALERT_NAME,
        labels=labels,
        annotations={
            "summary": f"Nothing comes from source {source}",
            "description": f"Source {source} was last heard at {heard_at:%Y-%m-%d %H:%M:%S} UTC: neither a notice came "
            "nor did its own Alertmanager answer. What it should tell is not told. See whether it runs, whether it "
            f"reaches the webhook with a valid token, and `ims source show {source}`.",
        },
        starts_at=now if is_silent else None,
        ends_at=None if is_silent else now,
        generator_url=None,
    )


def silences(session: Session) -> Sequence[tuple[str, bool]]:
    """Every source that is not ours and whether it is silent."""
    wanted = select(Source.name, Source.silent_since.is_not(None)).where(Source.name != OWN_SOURCE)
    return [(name, is_silent) for name, is_silent in session.execute(wanted)]
