"""Compares what senders know about their alerts with the database.

A notification whose request was answered with 2xx is committed. One whose request was answered with 5xx, or whose
connection broke, may have been committed all the same: its sender repeats it. So each alert has at least as many
notifications as were answered with 2xx, at most as many as were sent, and never a second episode or event.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, text

from ims.core.db.engine import Database

_ALERTS = text(
    """
    WITH reported AS (
        SELECT (data ->> 'episode_id')::bigint AS episode_id,
               count(*) FILTER (WHERE kind = 'alert_firing') AS fired,
               count(*) FILTER (WHERE kind = 'alert_resolved') AS resolved
        FROM timeline_event WHERE kind IN ('alert_firing', 'alert_resolved') GROUP BY 1
    )
    SELECT alert.fingerprint, count(DISTINCT alert.id) AS alerts, count(episode.id) AS episodes,
           count(episode.id) FILTER (WHERE closed_at IS NULL) AS open, coalesce(sum(notifications), 0) AS notifications,
           coalesce(sum(fired), 0) AS fired, coalesce(sum(resolved), 0) AS resolved
    FROM alert LEFT JOIN episode ON episode.alert_id = alert.id LEFT JOIN reported ON reported.episode_id = episode.id
    GROUP BY alert.fingerprint
    """
)
# Each finds nothing: one current incident for a key, none open without an alert or resolved with one, a timeline
# without gaps. Decisions are not counted: their jobs are deleted when done, and deciding twice does no harm.
_FAULTS = {
    "keys with several unresolved incidents": """
        SELECT correlation_key FROM incident WHERE status <> 'resolved' GROUP BY 1 HAVING count(*) > 1""",
    "incidents whose status does not fit their alerts": """
        SELECT number FROM incident WHERE (status = 'resolved') = EXISTS
            (SELECT FROM episode WHERE incident_id = incident.id AND closed_at IS NULL)""",
    "timelines with gaps": """
        SELECT incident.number FROM incident JOIN timeline_event ON incident_id = incident.id
        GROUP BY incident.id HAVING count(*) <> last_seq OR max(seq) <> last_seq""",
}


@dataclass(slots=True)
class Known:
    """One alert as its sender knows it. Resolves are notifications too."""

    tried: int = 0
    taken: int = 0
    resolves_tried: int = 0
    resolves_taken: int = 0

    def note(self, status: int | None, *, is_resolve: bool = False) -> None:
        """A notification was sent, and this was the answer."""
        is_taken = status is not None and 200 <= status < 300
        self.tried += 1
        self.taken += is_taken
        self.resolves_tried += is_resolve
        self.resolves_taken += is_resolve and is_taken


@dataclass
class Ledger:
    """Everything that was sent, by fingerprint, and how the requests were answered."""

    alerts: dict[str, Known] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    """Requests by status, `no answer` included."""

    def add(self, other: "Ledger") -> None:
        """Another sender's; no two send the same alert."""
        self.alerts |= other.alerts
        self.answers += other.answers

    def note(self, fingerprints: list[str], status: int | None, *, is_resolve: bool = False) -> None:
        """One request with one notification of each of these alerts."""
        self.answers[str(status or "no answer")] += 1
        for fingerprint in fingerprints:
            self.alerts.setdefault(fingerprint, Known()).note(status, is_resolve=is_resolve)


@dataclass
class Compared:
    """Fingerprints of alerts that are not in the database as they should be, and the other faults that were found."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    faults: dict[str, list[object]] = field(default_factory=dict)


def compare(database: Database, ledger: Ledger) -> Compared:
    """Hold what was sent against what is there, once everything is quiet. Nobody else has sent anything."""
    compared = Compared()
    with database.begin() as session:
        # Large after a long run, and nobody waits for it.
        session.execute(text("SET LOCAL statement_timeout = 0"))
        rows = {row.fingerprint: row for row in session.execute(_ALERTS)}
        for what, query in _FAULTS.items():
            if found := [row[0] for row in session.execute(text(query))]:
                compared.faults[what] = found
    for fingerprint, known in ledger.alerts.items():
        row = rows.pop(fingerprint, None)
        if _is_lost(known, row):
            compared.lost.append(fingerprint)
        if row is not None and _is_doubled(known, row):
            compared.doubled.append(fingerprint)
    if rows:
        compared.faults["alerts that nobody sent"] = list(rows)
    return compared


def _is_lost(known: Known, row: Row[Any] | None) -> bool:
    if row is None:
        return known.taken > 0
    is_closed_too_early = known.resolves_tried == 0 and row.open < 1
    return row.notifications < known.taken or row.episodes < 1 or row.fired < row.episodes or is_closed_too_early


def _is_doubled(known: Known, row: Row[Any]) -> bool:
    is_open_still = known.resolves_taken > 0 and row.open > 0
    counts = max(row.alerts, row.episodes, row.fired)
    return counts > 1 or row.notifications > known.tried or row.resolved != row.episodes - row.open or is_open_still
