"""Reconcile alerts with Alertmanager: open those whose notifications were missed, close those that are over.

One worker at a time polls a source: it claims the polling, and its result is applied only while that claim is the
newest and under an advisory lock. All changes go through ingest, so a notification that arrives meanwhile does no harm.

An alert that is not listed counts as over only if the Alertmanager instance that omits it has listed it before. Each
open episode stores which instances did.
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
"""Alerts reconciled in one transaction: their locks should not keep the webhook waiting."""
_LOCK: Final = 0x494D5352
"""Class of the advisory locks, one for each source, that allow one reconciliation at a time ("IMSR")."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Polling:
    """The claim to poll one source's Alertmanager."""

    source: str
    url: str
    receiver: str | None
    at: datetime
    withheld: "Withheld"
    """What the previous reconciliation withheld."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """Alerts that an Alertmanager does not list, but that stay open because its answer is uncertain."""

    alerts: int = 0
    reason: str | None = None
    """An `Uncertainty`, if there are any such alerts."""


@dataclass(slots=True)
class Reconciled:
    """The result of a reconciliation."""

    opened: int = 0
    closed: int = 0
    outcomes: tuple[Outcome, ...] = ()
    withheld: Withheld = Withheld()

    def __bool__(self) -> bool:
        return bool(self.opened or self.closed)


# Any worker may poll a source that is overdue, since the worker that owns it may hang.
_DUE = text(
    """
    SELECT name, coalesce(
        reconciliation_tried_at <= CAST(:now AS timestamptz) - 4 * CAST(:every AS interval), false) AS is_overdue
    FROM source
    WHERE kind IN ('alertmanager', 'grafana') AND alertmanager_url IS NOT NULL AND disabled_at IS NULL
      AND (reconciliation_tried_at IS NULL
           OR reconciliation_tried_at <= CAST(:now AS timestamptz) - CAST(:every AS interval))
    """
)
_CLAIM = text(
    """
    UPDATE source SET reconciliation_tried_at = :now
    WHERE name IN (
        SELECT name FROM source
        WHERE name = ANY(:names) AND alertmanager_url IS NOT NULL AND disabled_at IS NULL
          AND (reconciliation_tried_at IS NULL
               OR reconciliation_tried_at <= CAST(:now AS timestamptz) - CAST(:every AS interval))
        FOR NO KEY UPDATE SKIP LOCKED
    )
    RETURNING name, alertmanager_url, receiver, reconciliation_withheld, reconciliation_withheld_reason
    """
)


def claim_pollings(
    session: Session, every: timedelta, now: datetime, owns: Callable[[str], bool] = lambda _: True
) -> list[Polling]:
    """Claim the sources that the caller `owns` and that were not polled for `every`: no other worker polls them then.

    A source that is overdue is claimed even if another worker owns it.
    """
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
            Withheld(row.reconciliation_withheld, row.reconciliation_withheld_reason),
        )
        for row in rows
    ]


_FINISH = text(
    """
    UPDATE source SET reconciliation_problem = :problem,
                      reconciled_at = coalesce(CAST(:reconciled_at AS timestamptz), reconciled_at)
    WHERE name = :source AND reconciliation_tried_at = :claimed_at
    """
)


def finish_polling(session: Session, polling: Polling, problem: str | None, now: datetime) -> None:
    """Store how the polling ended; `problem` is a word for why it failed."""
    columns = {"source": polling.source, "claimed_at": polling.at}
    session.execute(_FINISH, {**columns, "problem": problem, "reconciled_at": None if problem else now})


def reconcile(
    database: Database, polling: Polling, snapshot: Snapshot, grace: timedelta, now: datetime
) -> Reconciled | None:
    """Update alerts and episodes to match a snapshot; None if a newer polling has overtaken this one.

    Raises `DatabaseAway`; changes made until then stay, and the next reconciliation does the rest.
    """
    reconciled = Reconciled()
    with database.begin() as session:
        if not _is_current(session, polling):
            return None
        missed = list(_missed(session, snapshot, grace))
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
        reconciled.withheld = _store_withheld(session, polling, snapshot, grace)
        finish_polling(session, polling, None, now)
    return reconciled


_IS_CURRENT = text(
    """
    SELECT pg_try_advisory_xact_lock(:lock, hashtext(:source)) AND EXISTS (
        SELECT FROM source WHERE name = :source AND reconciliation_tried_at = :claimed_at AND disabled_at IS NULL)
    """
)


def _is_current(session: Session, polling: Polling) -> bool:
    """Whether the claim is still the newest; no other worker reconciles this source until the transaction ends."""
    return bool(session.scalar(_IS_CURRENT, {"lock": _LOCK, "source": polling.source, "claimed_at": polling.at}))


# Alerts that are to be sent and have no open episode. One of them counts as missed once it has been so for longer than
# its notification may take. That is not counted from its start: after a silence, a mute or a restart of its
# Alertmanager, an alert that has fired for long waits as well. The result is those that were missed: for each, when its
# closed episode with the same startsAt closed, if there is one.
_MISSED = text(
    """
    WITH unsent AS (
        SELECT listed.fingerprint, listed.starts_at, listed.late_before, alert.id AS alert_id
        FROM unnest(
            CAST(:fingerprints AS text[]), CAST(:starts AS timestamptz[]), CAST(:late_before AS timestamptz[])
        ) AS listed (fingerprint, starts_at, late_before)
        LEFT JOIN alert ON alert.source = :source AND alert.fingerprint = listed.fingerprint
        WHERE NOT EXISTS (SELECT FROM episode WHERE alert_id = alert.id AND closed_at IS NULL)
    ), ended AS (
        DELETE FROM unsent_alert
        WHERE source = :source AND NOT EXISTS (SELECT FROM unsent WHERE unsent.fingerprint = unsent_alert.fingerprint)
    ), begun AS (
        INSERT INTO unsent_alert (source, fingerprint, since) SELECT :source, fingerprint, :polled_at FROM unsent
        ON CONFLICT DO NOTHING
    )
    SELECT unsent.fingerprint, (
        SELECT max(closed_at) FROM episode WHERE alert_id = unsent.alert_id AND unsent.starts_at = ANY(sender_starts)
    ) AS closed_at
    FROM unsent JOIN unsent_alert USING (fingerprint)
    WHERE unsent_alert.source = :source AND unsent_alert.since <= unsent.late_before
    """
)


def _missed(session: Session, snapshot: Snapshot, grace: timedelta) -> Iterator[AlertNotification]:
    """Notifications of alerts that their Alertmanager should have sent by now: they never arrived.

    An alert that looks like a late duplicate, since an episode with its startsAt is closed, fires again if its
    Alertmanager still lists it long after: it had expired there while Prometheus could not reach Alertmanager. It then
    starts at the time of the snapshot.
    """
    firing = snapshot.firing
    columns = {
        "fingerprints": list(firing),
        "starts": [one.notification.starts_at for one in firing.values()],
        "late_before": [snapshot.polled_at - grace - one.wait for one in firing.values()],
    }
    given = {**columns, "source": snapshot.source, "polled_at": snapshot.polled_at}
    for row in session.execute(_MISSED, given).all():
        notification = firing[row.fingerprint].notification
        if row.closed_at is None:
            yield replace(notification, was_missed=True)
        elif row.closed_at < snapshot.polled_at - SETTLING:
            yield replace(notification, starts_at=snapshot.polled_at, was_missed=True)


# Whether an alert that instance `:key` does not list is over. It is if that instance has listed the episode, or if it
# has replaced one that did: it runs at the same address, alone, and started after the episode began. It also is if a
# person has resolved the incident. A scalar subquery, since for an EXISTS the planner might read all incidents.
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
        # An instance that lists no alerts at all may not be connected to any Prometheus.
        "is_heir": instance.is_alone and bool(snapshot.present),
    }


# A firing notification after an episode went missing shows that it still fires: the grace period starts again. Episodes
# that another transaction has locked are left for the next time.
_MARK_MISSING = text(
    f"""
    WITH marked AS (
        SELECT episode.id, present.fingerprint IS NOT NULL AS is_present
        FROM episode JOIN alert ON alert.id = episode.alert_id
        LEFT JOIN unnest(CAST(:present AS text[])) AS present (fingerprint) USING (fingerprint)
        WHERE alert.source = :source AND episode.closed_at IS NULL
          AND CASE WHEN present.fingerprint IS NOT NULL THEN episode.missing_since IS NOT NULL
                   ELSE :is_believed AND episode.last_notification_at < :polled_at
                        AND (episode.missing_since IS NULL OR episode.missing_since < episode.last_notification_at)
                        AND {_BELIEVED} END
        FOR NO KEY UPDATE OF episode SKIP LOCKED
    )
    UPDATE episode SET missing_since = CASE WHEN NOT marked.is_present THEN CAST(:polled_at AS timestamptz) END
    FROM marked WHERE marked.id = episode.id
    """  # noqa: S608 - our own words
)


def _mark_missing(session: Session, snapshot: Snapshot) -> None:
    columns = {"present": sorted(snapshot.present), "source": snapshot.source, "polled_at": snapshot.polled_at}
    session.execute(_MARK_MISSING, {**columns, **_instance(snapshot), "is_believed": snapshot.uncertainty is None})


# Written once for each episode and instance, not at each polling; the last eight instances are stored.
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


_WITHHELD = text(
    f"""
    SELECT count(*) FROM episode JOIN alert ON alert.id = episode.alert_id
    WHERE alert.source = :source AND episode.closed_at IS NULL AND episode.last_notification_at < :before
      AND alert.fingerprint <> ALL(CAST(:present AS text[])) AND NOT (:is_believed AND {_BELIEVED})
    """  # noqa: S608 - our own words
)
_STORE_WITHHELD = text(
    "UPDATE source SET reconciliation_withheld = :alerts, reconciliation_withheld_reason = :reason WHERE name = :source"
)


def _store_withheld(session: Session, polling: Polling, snapshot: Snapshot, grace: timedelta) -> Withheld:
    """Store how many alerts are not listed but stay open because the answer is uncertain, and why."""
    columns = {"present": sorted(snapshot.present), "source": snapshot.source, "before": snapshot.polled_at - grace}
    given = {**columns, **_instance(snapshot), "is_believed": snapshot.uncertainty is None}
    alerts = session.scalar(_WITHHELD, given) or 0
    withheld = Withheld(alerts, snapshot.uncertainty or Uncertainty.NEVER_LISTED) if alerts else Withheld()
    if withheld != polling.withheld:
        columns = {"alerts": withheld.alerts, "reason": withheld.reason, "source": polling.source}
        session.execute(_STORE_WITHHELD, columns)
    return withheld


def _take(
    database: Database, polling: Polling, notifications: Sequence[AlertNotification], now: datetime
) -> Outcome | None:
    with database.begin() as session:
        if not _is_current(session, polling):
            return None
        return ingest(session, notifications, [], policy_in_force(session), now)


# Locked in the same order as in ingest: a concurrent notification of one of them either committed before and is seen,
# or waits.
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
    """Close episodes that their Alertmanager has not listed for `grace`; at most `CHUNK` of them."""
    before = snapshot.polled_at - grace
    columns = {"source": polling.source, "before": before, "limit": CHUNK, **_instance(snapshot)}
    with database.begin() as session:
        if not _is_current(session, polling):
            return None
        alerts = list(session.scalars(_LOCK_GONE, columns))
        gone = session.execute(_GONE, {"alerts": alerts, "before": before}).all()
        notifications = [_resolved(polling.source, row) for row in gone]
        return ingest(session, notifications, [], policy_in_force(session), now)


def _resolved(source: str, row: Row[tuple[object, ...]]) -> AlertNotification:
    """The resolved notification that never arrived. It has no times of the sender, so it closes any open episode."""
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
