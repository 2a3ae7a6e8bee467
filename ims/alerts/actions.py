"""Ingest: notices become alerts, episodes, incidents and one job, in the caller's transaction.

A batch costs a fixed small number of statements whatever its size: they are in `statements.py`, with the order of
their locks. What is decided in between is in `batch.py` and is pure. Two batches can still deadlock with other work
on an incident, as any two transactions can: the caller repeats a batch once then, see `is_deadlock`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.errors import DeadlockDetected, SerializationFailure
from psycopg.types.json import Jsonb
from sqlalchemy.orm import Session

from ims.actors import SYSTEM
from ims.alerts import statements
from ims.alerts.batch import AlertKey, Batch, Correlator, KnownIncident, NewIncident
from ims.alerts.correlation import place
from ims.alerts.episodes import NOWHERE, AlertState, EpisodeState, Result
from ims.alerts.flapping import mark_flapping
from ims.alerts.models import Severity
from ims.alerts.notices import Notice, Rejected
from ims.incidents.models import EventKind
from ims.incidents.timeline import NewEvent, append
from ims.policy.schema import Correlation, Policy, QuietTime
from ims.queue import Job, defer


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch. `results` has one entry for each notice, in order."""

    results: tuple[Result, ...]
    severities: tuple[Severity, ...]
    """Of each notice."""
    new_episodes: tuple[int, ...] = ()
    """Those that are to be decided about."""
    new_incidents: tuple[tuple[UUID, Severity], ...] = ()
    resolved_incidents: tuple[UUID, ...] = ()
    durations: tuple[float, ...] = ()
    """Seconds that each of the resolved incidents was open."""
    flapping_incidents: tuple[UUID, ...] = ()
    """Those marked as flapping."""


def ingest(
    session: Session, notices: Sequence[Notice], rejected: Sequence[Rejected], policy: Policy, now: datetime
) -> Outcome:
    """Take a batch of notices, of one sender or of several, in the order they came.

    Opens before it resolves: when one batch closes an incident's last episode and opens another of its key, the
    incident stays. Raises nothing of its own.
    """
    _keep_rejected(session, rejected, now)
    if not notices:
        return Outcome((), ())
    batch = Batch(notices, [place(notice, policy) for notice in notices])
    session.execute(statements.TOUCH_SOURCES, {"sources": sorted({one.source for one in notices}), "now": now})
    known = _upsert_alerts(session, batch, now)
    _read_episodes(session, batch, known)
    batch.take_all()
    correlator = _correlate(session, batch, policy.correlation, now)
    _write_episodes(session, batch, now)
    resolved = _resolve_or_settle(session, batch, policy.correlation, now)
    flapping = mark_flapping(session, batch, known, policy.correlation.flapping, now)
    append(session, [*correlator.story(batch.turns), *flapping, *map(_resolved_event, resolved)], now)
    new_episodes = tuple(
        turn.episode.id for turn in batch.openings if turn.episode.is_open and turn.episode.id is not None
    )
    if new_episodes:
        defer(session, Job.DECIDE, episode_ids=list(new_episodes))
    return Outcome(
        results=tuple(batch.results),
        severities=tuple(placement.severity for placement in batch.placements),
        new_episodes=new_episodes,
        new_incidents=tuple((new.id, new.placement.severity) for new in correlator.new),
        resolved_incidents=tuple(resolved),
        durations=tuple(resolved.values()),
        flapping_incidents=tuple(event.incident_id for event in flapping),
    )


def is_deadlock(error: BaseException | None) -> bool:
    """Whether PostgreSQL ended the transaction for another one's sake, so that it may simply be done again.

    Follows the causes: `Database.begin` has translated the driver's error.
    """
    while error is not None:
        if isinstance(getattr(error, "orig", error), DeadlockDetected | SerializationFailure):
            return True
        error = error.__cause__
    return False


def resolve_quiet(session: Session, incident_ids: Sequence[UUID], quiet: float, now: datetime) -> dict[UUID, float]:
    """Resolve those of the incidents in which nothing fired for `quiet` seconds; return how long each was open."""
    _lock_incidents(session, incident_ids, [])
    resolved = _resolve(session, incident_ids, quiet, now)
    append(session, [_resolved_event(id_) for id_ in resolved], now)
    return resolved


def _keep_rejected(session: Session, rejected: Sequence[Rejected], now: datetime) -> None:
    if not rejected:
        return
    columns = {
        "sources": [one.source for one in rejected],
        "reasons": [one.reason.value for one in rejected],
        "bodies": [one.body for one in rejected],
        "details": [Jsonb({"message": one.message, "place": one.place}) for one in rejected],
    }
    session.execute(statements.INSERT_REJECTED, {**columns, "now": now})


def _upsert_alerts(session: Session, batch: Batch, now: datetime) -> list[AlertKey]:
    """Write the alerts as their last notices say and lock them; return those that were known before."""
    last = [(batch.notices[index], batch.placements[index]) for index in batch.last_of_each.values()]
    columns = {
        "sources": [notice.source for notice, _ in last],
        "fingerprints": [notice.fingerprint for notice, _ in last],
        "names": [notice.name for notice, _ in last],
        "services": [placement.service_name for _, placement in last],
        "environments": [placement.environment for _, placement in last],
        "severities": [placement.severity.value for _, placement in last],
        "labels": Jsonb([notice.labels for notice, _ in last]),
        "annotations": Jsonb([notice.annotations for notice, _ in last]),
        "generator_urls": [notice.generator_url for notice, _ in last],
    }
    known = []
    for row in session.execute(statements.UPSERT_ALERTS, {**columns, "now": now}):
        batch.alert_ids[row.source, row.fingerprint] = row.id
        if not row.is_new:
            known.append((row.source, row.fingerprint))
    return known


def _read_episodes(session: Session, batch: Batch, known: Sequence[AlertKey]) -> None:
    """Read what the notices of known alerts are compared with."""
    if not known:
        return
    keys = {batch.alert_ids[key]: key for key in known}
    starts = {
        (batch.alert_ids[notice.source, notice.fingerprint], notice.starts_at)
        for notice in batch.notices
        if notice.starts_at
    }
    said = [(alert_id, starts_at) for alert_id, starts_at in starts if alert_id in keys]
    rows = session.execute(
        statements.READ_EPISODES,
        {"alerts": list(keys), "start_alerts": [one for one, _ in said], "starts": [at for _, at in said]},
    )
    seen: dict[int, EpisodeState] = {}
    for row in rows:
        alert = batch.alerts.setdefault(keys[row.alert_id], AlertState())
        if row.id not in seen:
            seen[row.id] = EpisodeState(
                id=row.id, incident_id=row.incident_id, starts=list(row.sender_starts), is_open=row.is_open
            )
            if not row.is_open:
                alert.closed.append(seen[row.id])
        if row.is_open:
            alert.open = seen[row.id]
        elif row.is_newest:
            alert.newest_closed = seen[row.id]


def _correlate(session: Session, batch: Batch, rules: Correlation, now: datetime) -> Correlator:
    """Give each opened episode its incident, new or not. Locks the keys, then all incidents that may change."""
    placements = [turn.placement for turn in batch.openings]
    current = _lock_keys(session, {key for one in placements for key in (one.key, one.lock)}, now)
    services = sorted({(one.service.name, one.environment) for one in placements if one.service})
    touched = {id_ for id_ in current.values() if id_}
    # An episode that was opened in this batch too has its incident only later; that one is locked as its key's.
    touched |= {turn.episode.incident_id for turn in batch.closings if turn.episode.incident_id != NOWHERE}
    incidents = _lock_incidents(session, touched, services if rules.severity_joins else [])
    correlator = Correlator(rules, now, current, incidents)
    for turn in batch.openings:
        correlator.join(turn)
    _insert_incidents(session, correlator.new, now)
    if correlator.moved:
        moved = {"keys": list(correlator.moved), "incidents": list(correlator.moved.values())}
        session.execute(statements.POINT_CORRELATIONS, moved)
    if correlator.raised:
        raised = {"incidents": list(correlator.raised), "severities": list(correlator.raised.values())}
        session.execute(statements.RAISE_SEVERITIES, raised)
    return correlator


def _lock_keys(session: Session, keys: set[str], now: datetime) -> dict[str, UUID | None]:
    if not keys:
        return {}
    # Sorted, so that two batches lock the keys they share in one order.
    rows = session.execute(statements.LOCK_CORRELATIONS, {"keys": sorted(keys), "now": now})
    return {row.key: row.incident_id for row in rows}


def _lock_incidents(
    session: Session, incident_ids: Collection[UUID], services: Sequence[tuple[str, str]]
) -> dict[UUID, KnownIncident]:
    if not incident_ids and not services:
        return {}
    columns = {
        "incidents": list(incident_ids),
        "services": [service for service, _ in services],
        "environments": [environment for _, environment in services],
    }
    rows = session.execute(statements.LOCK_INCIDENTS, columns)
    return {row.id: KnownIncident(**row._mapping) for row in rows}


def _insert_incidents(session: Session, new: Sequence[NewIncident], now: datetime) -> None:
    if not new:
        return
    services = [one.placement.service for one in new]
    columns = {
        "ids": [one.id for one in new],
        "titles": [one.title for one in new],
        "descriptions": [one.description for one in new],
        "services": [one.placement.service_name for one in new],
        "environments": [one.placement.environment for one in new],
        "severities": [one.placement.severity.value for one in new],
        "assignees": [service.owner if service else None for service in services],
        "teams": [service.team if service else None for service in services],
        "runbook_urls": [one.runbook_url for one in new],
        "labels": [Jsonb(one.labels) for one in new],
        "keys": [one.placement.key for one in new],
        "recurrences": [one.recurrence_of for one in new],
    }
    session.execute(statements.INSERT_INCIDENTS, {**columns, "now": now})


def _write_episodes(session: Session, batch: Batch, now: datetime) -> None:
    """Update what was there, then insert what is new: an alert's old episode closes before its next one opens."""
    changed = batch.changed_episodes
    if changed:
        columns = {**_episode_columns(changed), "ids": [one.id for one in changed]}
        columns["is_changed"] = [one.is_changed for one in changed]
        session.execute(statements.UPDATE_EPISODES, {**columns, "now": now})
    openings = batch.openings
    if openings:
        columns = _episode_columns([turn.episode for turn in openings])
        columns["alerts"] = [turn.alert_id for turn in openings]
        columns["incidents"] = [turn.episode.incident_id for turn in openings]
        ids = session.scalars(statements.INSERT_EPISODES, {**columns, "now": now})
        for turn, id_ in zip(openings, sorted(ids), strict=True):
            turn.episode.id = id_


def _episode_columns(episodes: Sequence[EpisodeState]) -> dict[str, list[Any]]:
    return {
        "counted": [one.counted for one in episodes],
        "starts": ["{" + ",".join(f'"{at.isoformat()}"' for at in one.starts) + "}" for one in episodes],
        "is_open": [one.is_open for one in episodes],
        "ends": [one.ends_at for one in episodes],
    }


def _resolve_or_settle(session: Session, batch: Batch, rules: Correlation, now: datetime) -> dict[UUID, float]:
    """Resolve the incidents whose last episode closed, or see to it later, as the policy says."""
    closing = sorted({turn.episode.incident_id for turn in batch.closings})
    if not closing or rules.auto_resolve == "never":
        return {}
    if isinstance(rules.auto_resolve, QuietTime):
        wait = timedelta(seconds=rules.auto_resolve.quiet)
        defer(session, Job.SETTLE_INCIDENT, after=wait, incident_ids=[str(id_) for id_ in closing])
        return {}
    return _resolve(session, closing, 0, now)


def _resolve(session: Session, incident_ids: Sequence[UUID], quiet: float, now: datetime) -> dict[UUID, float]:
    """The incidents that were resolved, in order of their ids, with the seconds each was open."""
    found = {"incidents": list(incident_ids), "quiet": quiet, "now": now}
    rows = session.execute(statements.RESOLVE_QUIET, found)
    return dict(sorted((row.id, float(row.seconds)) for row in rows))


def _resolved_event(incident_id: UUID) -> NewEvent:
    return NewEvent(incident_id, EventKind.RESOLVED, SYSTEM, {"reason": "alerts_resolved"})
