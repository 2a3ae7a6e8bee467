"""Mend what was missed: what fires and we do not know, what we believe to fire and is over.

One worker at a time asks a source: it claims the asking, and what it brings back is used only while that claim is the
newest and under an advisory lock. Everything goes through ingest, so a notification that arrives meanwhile does no harm.

That something is absent is believed of that very Alertmanager only which has listed it before. Each open episode
remembers who did.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, TypeVar

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from ims.alerts.ingest import Outcome, ingest
from ims.alerts.notifications import AlertNotification, NotificationStatus
from ims.alerts.snapshot import SETTLING, Snapshot, Uncertainty
from ims.core.db.engine import Database
from ims.policy.queries import policy_in_force

CHUNK: Final = 500
"""Alerts mended in one transaction: their locks should not keep the webhook waiting."""
_LOCK: Final = 0x494D5352
"""Class of the advisory locks, one for each source, that let one repair happen at a time ("IMSR")."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Polling:
    """The claim to ask one source's Alertmanager."""

    source: str
    url: str
    receiver: str | None
    at: datetime
    held: "Held"
    """What was held back the last time."""


@dataclass(frozen=True, slots=True)
class Held:
    """Alerts that an Alertmanager does not list, and that go on all the same."""

    alerts: int = 0
    reason: str | None = None
    """A `Uncertainty`, if there are any."""


@dataclass(slots=True)
class Reconciled:
    """What a repair did."""

    opened: int = 0
    closed: int = 0
    outcomes: tuple[Outcome, ...] = ()
    held: Held = Held()

    def __bool__(self) -> bool:
        return bool(self.opened or self.closed)


# Whom its own worker has not asked for so long, as it may hang, anybody may ask.
_DUE = text(
    """
    SELECT name, coalesce(
        reconciliation_tried_at <= CAST(:now AS timestamptz) - 4 * CAST(:every AS interval), false) AS is_overdue
    FROM source
    WHERE kind IN ('alertmanager', 'grafana') AND alertmanager_url IS NOT NULL AND disabled_at IS NULL
      AND (reconciliation_tried_at IS NULL OR reconciliation_tried_at <= CAST(:now AS timestamptz) - CAST(:every AS interval))
    """
)
_CLAIM = text(
    """
    UPDATE source SET reconciliation_tried_at = :now
    WHERE name IN (
        SELECT name FROM source
        WHERE name = ANY(:names) AND alertmanager_url IS NOT NULL AND disabled_at IS NULL
          AND (reconciliation_tried_at IS NULL OR reconciliation_tried_at <= CAST(:now AS timestamptz) - CAST(:every AS interval))
        FOR NO KEY UPDATE SKIP LOCKED
    )
    RETURNING name, alertmanager_url, receiver, reconciliation_withheld, reconciliation_withheld_reason
    """
)


def claim_pollings(
    session: Session, every: timedelta, now: datetime, owns: Callable[[str], bool] = lambda _: True
) -> list[Polling]:
    """Claim the sources that were not asked for `every` and that the caller `owns`; nobody else asks them meanwhile."""
    due = session.execute(_DUE, {"every": every, "now": now}).all()
    names = [row.name for row in due if row.is_overdue or owns(row.name)]
    if not names:
        return []
    rows = session.execute(_CLAIM, {"names": names, "every": every, "now": now})
    return [
        Polling(
            row.name,
            row.alertmanager_url,
            row.receiver,
            now,
            Held(row.reconciliation_withheld, row.reconciliation_withheld_reason),
        )
        for row in rows
    ]


_FINISH = text(
    """
    UPDATE source SET reconciliation_problem = :problem, reconciled_at = coalesce(CAST(:reconciled_at AS timestamptz), reconciled_at)
    WHERE name = :source AND reconciliation_tried_at = :claimed_at
    """
)


def finish_polling(session: Session, polling: Polling, problem: str | None, now: datetime) -> None:
    """Note how the asking ended; `problem` says why it failed, in a word."""
    columns = {"source": polling.source, "claimed_at": polling.at}
    session.execute(_FINISH, {**columns, "problem": problem, "reconciled_at": None if problem else now})


def reconcile(
    database: Database, polling: Polling, snapshot: Snapshot, grace: timedelta, now: datetime
) -> Reconciled | None:
    """Bring our record to what a snapshot says; None if a newer asking has overtaken this one.

    Raises `DatabaseAway`; what was mended until then stays, and the next repair does the rest.
    """
    reconciled = Reconciled()
    with database.begin() as session:
        if not _is_current(session, polling):
            return None
        missed = list(_missed(session, snapshot))
        _mark_missing(session, snapshot)
    for chunk in _chunks(missed):
        outcome = _take(database, polling, chunk, now)
        if outcome is None:
            return None
        reconciled.opened += len(outcome.new_episodes)
        reconciled.outcomes += (outcome,)
    while snapshot.uncertainty is None:
        closing = _close(database, polling, snapshot, grace, now)
        if closing is None:
            return None
        reconciled.closed += len(closing.results)
        reconciled.outcomes += (closing,)
        if len(closing.results) < CHUNK:
            break
    with database.begin() as session:
        if not _is_current(session, polling):
            return None
        if snapshot.uncertainty is not Uncertainty.SEVERAL_ANSWERED:
            _remember(session, snapshot, now)
        reconciled.held = _hold(session, polling, snapshot, grace)
        finish_polling(session, polling, None, now)
    return reconciled


_IS_CURRENT = text(
    """
    SELECT pg_try_advisory_xact_lock(:lock, hashtext(:source)) AND EXISTS (
        SELECT FROM source WHERE name = :source AND reconciliation_tried_at = :claimed_at AND disabled_at IS NULL)
    """
)


def _is_current(session: Session, polling: Polling) -> bool:
    """Whether the claim is still the newest; nobody else mends this source until the transaction ends."""
    return bool(session.scalar(_IS_CURRENT, {"lock": _LOCK, "source": polling.source, "claimed_at": polling.at}))


# Of what is listed and has no open episode: when the episode closed that began when this one did, if there is one.
_MISSED = text(
    """
    SELECT listed.fingerprint, (
        SELECT max(closed_at) FROM episode WHERE alert_id = alert.id AND listed.starts_at = ANY(sender_starts)
    ) AS closed_at
    FROM unnest(CAST(:fingerprints AS text[]), CAST(:starts AS timestamptz[])) AS listed (fingerprint, starts_at)
    LEFT JOIN alert ON alert.source = :source AND alert.fingerprint = listed.fingerprint
    WHERE NOT EXISTS (SELECT FROM episode WHERE alert_id = alert.id AND closed_at IS NULL)
    """
)


def _missed(session: Session, snapshot: Snapshot) -> Iterator[AlertNotification]:
    """Notifications that never came.

    One that looks like a late duplicate, since an episode of its startsAt is closed, fires again if its Alertmanager
    still lists it long after: it was given up while Prometheus could not reach it. It begins when we saw it.
    """
    firing = snapshot.firing
    columns = {"fingerprints": list(firing), "starts": [notification.starts_at for notification in firing.values()]}
    for row in session.execute(_MISSED, {**columns, "source": snapshot.source}).all():
        if row.closed_at is None:
            yield replace(firing[row.fingerprint], was_missed=True)
        elif row.closed_at < snapshot.asked_at - SETTLING:
            yield replace(firing[row.fingerprint], starts_at=snapshot.asked_at, was_missed=True)


# Whether `:key`'s word counts. It counts if it has listed the episode itself, or if it runs, alone and later than the
# episode began, where another one has listed it: that one was restarted. It also counts for what a person called over.
# A scalar subquery, for an EXISTS might be answered by reading all incidents once.
_BELIEVED = """(
    :key = ANY(episode.listed_by)
    OR (:is_heir AND episode.opened_at < CAST(:started_at AS timestamptz)
        AND EXISTS (SELECT FROM unnest(episode.listed_by) AS one WHERE starts_with(one, :place)))
    OR (SELECT status FROM incident WHERE incident.id = episode.incident_id) = 'resolved'
)"""


def _instance(snapshot: Snapshot) -> dict[str, object]:
    """The parameters of `_BELIEVED`."""
    instance = snapshot.instance
    return {
        "key": instance.key,
        "place": f"{instance.place}.",
        "started_at": instance.started_at,
        # One that lists nothing at all may have nobody who tells it anything.
        "is_heir": instance.is_alone and bool(snapshot.present),
    }


# A firing notification that came after an episode went missing says that it is not: the wait begins anew. An episode that
# somebody is writing is left for the next time.
_MARK_MISSING = text(
    f"""
    WITH marked AS (
        SELECT episode.id, present.fingerprint IS NOT NULL AS is_present
        FROM episode JOIN alert ON alert.id = episode.alert_id
        LEFT JOIN unnest(CAST(:present AS text[])) AS present (fingerprint) USING (fingerprint)
        WHERE alert.source = :source AND episode.closed_at IS NULL
          AND CASE WHEN present.fingerprint IS NOT NULL THEN episode.missing_since IS NOT NULL
                   ELSE :is_believed AND episode.last_notification_at < :asked_at
                        AND (episode.missing_since IS NULL OR episode.missing_since < episode.last_notification_at)
                        AND {_BELIEVED} END
        FOR NO KEY UPDATE OF episode SKIP LOCKED
    )
    UPDATE episode SET missing_since = CASE WHEN NOT marked.is_present THEN CAST(:asked_at AS timestamptz) END
    FROM marked WHERE marked.id = episode.id
    """  # noqa: S608 - our own words
)


def _mark_missing(session: Session, snapshot: Snapshot) -> None:
    columns = {"present": sorted(snapshot.present), "source": snapshot.source, "asked_at": snapshot.asked_at}
    session.execute(_MARK_MISSING, {**columns, **_instance(snapshot), "is_believed": snapshot.uncertainty is None})


# Written once for each episode and Alertmanager, not at each asking; the last eight are remembered.
_REMEMBER = text(
    """
    WITH listed AS (
        SELECT episode.id FROM episode JOIN alert ON alert.id = episode.alert_id
        WHERE alert.source = :source AND alert.fingerprint = ANY(CAST(:present AS text[]))
          AND episode.closed_at IS NULL AND episode.opened_at <= :now AND NOT :key = ANY(episode.listed_by)
        FOR NO KEY UPDATE OF episode SKIP LOCKED
    )
    UPDATE episode
    SET listed_by = (episode.listed_by || CAST(:key AS text))[greatest(cardinality(episode.listed_by) - 6, 1):]
    FROM listed WHERE listed.id = episode.id
    """
)


def _remember(session: Session, snapshot: Snapshot, now: datetime) -> None:
    columns = {"present": sorted(snapshot.present), "source": snapshot.source, "key": snapshot.instance.key}
    session.execute(_REMEMBER, {**columns, "now": now})


_HELD = text(
    f"""
    SELECT count(*) FROM episode JOIN alert ON alert.id = episode.alert_id
    WHERE alert.source = :source AND episode.closed_at IS NULL AND episode.last_notification_at < :before
      AND alert.fingerprint <> ALL(CAST(:present AS text[])) AND NOT (:is_believed AND {_BELIEVED})
    """  # noqa: S608 - our own words
)
_NOTE_HELD = text(
    "UPDATE source SET reconciliation_withheld = :alerts, reconciliation_withheld_reason = :reason WHERE name = :source"
)


def _hold(session: Session, polling: Polling, snapshot: Snapshot, grace: timedelta) -> Held:
    """Note how many alerts would be over if this Alertmanager were believed, and why it is not."""
    columns = {"present": sorted(snapshot.present), "source": snapshot.source, "before": snapshot.asked_at - grace}
    alerts = session.scalar(_HELD, {**columns, **_instance(snapshot), "is_believed": snapshot.uncertainty is None}) or 0
    held = Held(alerts, snapshot.uncertainty or Uncertainty.NEVER_LISTED) if alerts else Held()
    if held != polling.held:
        session.execute(_NOTE_HELD, {"alerts": held.alerts, "reason": held.reason, "source": polling.source})
    return held


def _take(
    database: Database, polling: Polling, notifications: Sequence[AlertNotification], now: datetime
) -> Outcome | None:
    with database.begin() as session:
        if not _is_current(session, polling):
            return None
        return ingest(session, notifications, [], policy_in_force(session), now)


# Locked in ingest's order, so that a notification of one of them either came before and is seen, or waits.
_LOCK_GONE = text(
    f"""
    SELECT alert.id FROM alert
    WHERE alert.source = :source AND EXISTS (
        SELECT FROM episode
        WHERE alert_id = alert.id AND closed_at IS NULL
          AND missing_since <= :before AND last_notification_at <= missing_since AND {_BELIEVED})
    ORDER BY alert.fingerprint COLLATE "C" LIMIT :limit
    FOR NO KEY UPDATE OF alert
    """  # noqa: S608 - our own words
)
_GONE = text(
    """
    SELECT alert.fingerprint, alert.name, alert.labels, alert.annotations, alert.generator_url
    FROM alert JOIN episode ON episode.alert_id = alert.id
    WHERE alert.id = ANY(:alerts) AND episode.closed_at IS NULL
      AND episode.missing_since <= :before AND episode.last_notification_at <= episode.missing_since
    """
)


def _close(database: Database, polling: Polling, snapshot: Snapshot, grace: timedelta, now: datetime) -> Outcome | None:
    """Close episodes that their Alertmanager has not listed for `grace`, at most a chunk of them."""
    before = snapshot.asked_at - grace
    columns = {"source": polling.source, "before": before, "limit": CHUNK, **_instance(snapshot)}
    with database.begin() as session:
        if not _is_current(session, polling):
            return None
        alerts = list(session.scalars(_LOCK_GONE, columns))
        gone = session.execute(_GONE, {"alerts": alerts, "before": before}).all()
        notifications = [_resolved(polling.source, row) for row in gone]
        return ingest(session, notifications, [], policy_in_force(session), now)


def _resolved(source: str, row: Row[tuple[object, ...]]) -> AlertNotification:
    """The notification that never came. Its sender told no time, so it ends whatever is open."""
    return AlertNotification(
        source=source,
        fingerprint=row.fingerprint,
        status=NotificationStatus.RESOLVED,
        name=row.name,
        labels=row.labels,
        annotations=row.annotations,
        starts_at=None,
        ends_at=None,
        generator_url=row.generator_url,
        was_missed=True,
    )


def _chunks(items: Sequence[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
