"""Ingest: notifications become alerts, episodes, incidents and one job, in the caller's transaction.

A batch costs a small fixed number of statements, whatever its size: they are in `statements.py`, with the order of
their locks. The logic between them is in `batch.py` and is pure. A batch can still deadlock with other work on an
incident, as any two transactions can: the caller then repeats the batch once, see `is_deadlock`.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.errors import DeadlockDetected, SerializationFailure
from sqlalchemy.orm import Session

from ims.alerts import statements
from ims.alerts.batch import (
    STILL_OPEN_ENDS,
    AlertKey,
    Batch,
    Correlator,
    KnownIncident,
    Lead,
    NewIncident,
    unproven_end,
)
from ims.alerts.correlation import place
from ims.alerts.dead_letter_limit import MOST_ROWS, WINDOW_SECONDS, as_rows
from ims.alerts.episodes import NOWHERE, AlertState, EpisodeState, Result
from ims.alerts.flapping import mark_flapping
from ims.alerts.notifications import AlertNotification, Rejected
from ims.core.actors import SYSTEM
from ims.core.db.direct import Execute, Rows, through
from ims.core.queue import Job, defer_by
from ims.core.severity import Severity
from ims.incidents import transitions
from ims.incidents.models import EventKind
from ims.incidents.transitions import NewEvent, append_by
from ims.policy.schema import Correlation, Policy, QuietTime


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a batch. `results` has one entry for each notification, in order."""

    results: tuple[Result, ...]
    severities: tuple[Severity, ...]
    """Of each notification."""
    new_episodes: tuple[int, ...] = ()
    """Opened episodes, about which healing has to decide."""
    new_incidents: tuple[tuple[UUID, Severity], ...] = ()
    resolved_incidents: tuple[UUID, ...] = ()
    durations: tuple[float, ...] = ()
    """Seconds that each of the resolved incidents was open."""
    flapping_incidents: tuple[UUID, ...] = ()
    """Incidents marked as flapping."""


def ingest(
    session: Session,
    notifications: Sequence[AlertNotification],
    rejected: Sequence[Rejected],
    policy: Policy,
    now: datetime,
) -> Outcome:
    """Ingest a batch of notifications, from one sender or several, in the order in which they arrived.

    Opens episodes before it resolves incidents: when one batch closes the last episode of an incident and opens another
    one with the same key, the incident stays open. Raises no errors of its own.
    """
    heard = {notification.source for notification in notifications}
    return ingest_by(through(session), notifications, rejected, policy, now, heard=heard)


def ingest_by(
    execute: Execute,
    notifications: Sequence[AlertNotification],
    rejected: Sequence[Rejected],
    policy: Policy,
    now: datetime,
    *,
    heard: Collection[str],
) -> Outcome:
    """Like `ingest`, for callers without a session. `heard` are the sources whose last notification time is updated.

    Results are read as late as possible: on a direct connection the statements in between are sent together.
    """
    _keep_rejected(execute, rejected, now)
    if not notifications:
        return Outcome((), ())
    batch = Batch(notifications, [place(notification, policy) for notification in notifications])
    if heard:
        execute(statements.TOUCH_SOURCES, {"sources": json.dumps(sorted(heard)), "now": now})
    known = _take_alerts(execute, batch, now)
    _read_episodes(execute, batch, known, now)
    batch.take_all(now)
    if batch.clocks_ahead:
        clocks = [{"source": source, "seconds": seconds} for source, seconds in batch.clocks_ahead.items()]
        execute(statements.NOTE_CLOCKS, {"clocks": json.dumps(clocks), "now": now})
    severities = tuple(placement.severity for placement in batch.placements)
    if not batch.turns:
        _update_episodes(execute, batch, now)
        return Outcome(tuple(batch.results), severities)
    correlator = _correlate(execute, batch, policy.correlation, now)
    _update_episodes(execute, batch, now)
    _insert_episodes(execute, batch, now)
    leads = _find_leads(execute, batch, correlator)
    resolved = _resolve_or_settle(execute, batch, policy.correlation, now)
    led = _follow(execute, leads, policy)
    flapping = mark_flapping(execute, batch, known, policy.correlation.flapping, now)
    append_by(execute, [*correlator.events(batch.turns), *led, *flapping, *map(_resolved_event, resolved)], now)
    new_episodes = tuple(
        turn.episode.id for turn in batch.openings if turn.episode.is_open and turn.episode.id is not None
    )
    if new_episodes:
        defer_by(execute, Job.DECIDE, episode_ids=list(new_episodes))
    return Outcome(
        results=tuple(batch.results),
        severities=severities,
        new_episodes=new_episodes,
        new_incidents=tuple((new.id, new.placement.severity) for new in correlator.new),
        resolved_incidents=tuple(resolved),
        durations=tuple(resolved.values()),
        flapping_incidents=tuple(event.incident_id for event in flapping),
    )


def is_deadlock(error: BaseException | None) -> bool:
    """Whether PostgreSQL aborted the transaction because of a concurrent one, so that it can simply be repeated.

    Follows the chain of causes, since the code that began the transaction has translated the driver's error.
    """
    while error is not None:
        if isinstance(getattr(error, "orig", error), DeadlockDetected | SerializationFailure):
            return True
        error = error.__cause__
    return False


def resolve_quiet(session: Session, incident_ids: Sequence[UUID], quiet: float, now: datetime) -> dict[UUID, float]:
    """Resolve those of the incidents in which no alert fired for `quiet` seconds; returns how long each was open."""
    execute = through(session)
    _lock_incidents(execute, incident_ids, [], []).fetchall()
    resolved = transitions.resolve_quiet(execute, incident_ids, quiet, now)
    append_by(execute, [_resolved_event(id_) for id_ in resolved], now)
    return resolved


def _keep_rejected(execute: Execute, rejected: Sequence[Rejected], now: datetime) -> None:
    if not rejected:
        return
    given = {
        "rejected": json.dumps(as_rows(rejected)),
        "now": now,
        "since": now - timedelta(seconds=WINDOW_SECONDS),
        "most": MOST_ROWS,
    }
    execute(statements.INSERT_REJECTED, given)


def _take_alerts(execute: Execute, batch: Batch, now: datetime) -> list[AlertKey]:
    """Write and lock the alerts and count plain repeats; returns the alerts whose episodes have to be read."""
    rows = []
    for (source, fingerprint), said in batch.said.items():
        notification, placement = batch.notifications[said.last], batch.placements[said.last]
        rows.append(
            {
                "source": source,
                "fingerprint": fingerprint,
                "name": notification.name,
                "service": placement.service_name,
                "environment": placement.environment,
                "severity": placement.severity.value,
                "labels": notification.labels,
                "annotations": notification.annotations,
                "generator_url": notification.generator_url,
                "notifications": said.notifications,
                "starts": [at.isoformat() for at in said.starts],
                "only_fires": said.only_fires,
                "is_untimed": said.is_untimed,
            }
        )
    known = []
    taken = execute(statements.TAKE_ALERTS, {"alerts": json.dumps(rows), "now": now}).fetchall()
    for id_, source, fingerprint, is_new, is_repeated in taken:
        batch.alert_ids[source, fingerprint] = id_
        if is_repeated:
            batch.repeated.add((source, fingerprint))
        elif not is_new:
            known.append((source, fingerprint))
    return known


def _read_episodes(execute: Execute, batch: Batch, known: Sequence[AlertKey], now: datetime) -> None:
    """Read the episodes with which the notifications of known alerts are compared."""
    if not known:
        return
    keys = {batch.alert_ids[key]: key for key in known}
    starts = [
        {"alert_id": alert_id, "starts_at": at.isoformat()}
        for alert_id, key in keys.items()
        for at in batch.said[key].starts
    ]
    rows = execute(statements.READ_EPISODES, {"alerts": json.dumps(list(keys)), "starts": json.dumps(starts)})
    seen: dict[int, EpisodeState] = {}
    for id_, alert_id, incident_id, sender_starts, is_open, is_newest, left_at, heard_at in rows.fetchall():
        alert = batch.alerts.setdefault(keys[alert_id], AlertState())
        if id_ not in seen:
            seen[id_] = EpisodeState(
                id_, is_stored=True, incident_id=incident_id, starts=sender_starts, is_open=is_open, heard_at=heard_at,
                is_left=left_at is not None, is_long_left=left_at is not None and left_at <= now - statements.LONG_LEFT,
            )  # fmt: skip
            if not is_open:
                alert.closed.append(seen[id_])
        if is_open:
            alert.open = seen[id_]
        elif is_newest:
            alert.newest_closed = seen[id_]


def _correlate(execute: Execute, batch: Batch, rules: Correlation, now: datetime) -> Correlator:
    """Assign an id and an incident, new or existing, to each opened episode.

    Locks the keys, then all incidents that may change.
    """
    placements = [turn.placement for turn in batch.openings]
    # Sorted, so that two batches lock the keys that they share in the same order.
    keys = sorted({key for one in placements for key in (one.key, one.lock)})
    services = sorted({(one.service.name, one.environment) for one in placements if one.service})
    # An episode that this batch both opens and closes has no incident yet; its incident is locked by its key.
    closing = {turn.episode.incident_id for turn in batch.closings if turn.episode.incident_id != NOWHERE}
    locked = execute(statements.LOCK_CORRELATIONS, {"keys": json.dumps(keys), "now": now}) if keys else None
    incidents = _lock_incidents(execute, closing, keys, services if rules.severity_joins else [])
    if placements:
        ids = execute(statements.TAKE_EPISODE_IDS, {"count": len(placements)})
        for turn, (id_,) in zip(batch.openings, ids.fetchall(), strict=True):
            turn.episode.id = id_
    current = dict(map(tuple, locked.fetchall())) if locked else {}
    known = [KnownIncident(*row) for row in incidents.fetchall()]
    correlator = Correlator(rules, now, current, {incident.id: incident for incident in known})
    for turn in batch.openings:
        correlator.join(turn)
    _write_incidents(execute, correlator, now)
    return correlator


def _lock_incidents(
    execute: Execute, incident_ids: Collection[UUID], keys: Sequence[str], services: Sequence[tuple[str, str]]
) -> Rows:
    """Lock these incidents, those that the keys point at and the unresolved ones of the services."""
    given = {
        "incidents": json.dumps([str(id_) for id_ in incident_ids]),
        "keys": json.dumps(keys),
        "services": json.dumps([{"service": service, "environment": where} for service, where in services]),
    }
    return execute(statements.LOCK_INCIDENTS, given)


def _write_incidents(execute: Execute, correlator: Correlator, now: datetime) -> None:
    transitions.open_incidents(execute, [_incident_row(one) for one in correlator.new], now)
    if correlator.moved:
        moved = [{"key": key, "incident_id": str(id_)} for key, id_ in correlator.moved.items()]
        execute(statements.POINT_CORRELATIONS, {"moved": json.dumps(moved)})
    transitions.raise_severities(execute, correlator.raised)


def _incident_row(new: NewIncident) -> dict[str, Any]:
    service = new.placement.service
    return {
        "id": str(new.id),
        "title": new.title,
        "description": new.description,
        "service": new.placement.service_name,
        "environment": new.placement.environment,
        "severity": new.placement.severity.value,
        "assignee": service.owner if service else None,
        "team": service.team if service else None,
        "runbook_url": new.runbook_url,
        "labels": new.labels,
        "correlation_key": new.placement.key,
        "recurrence_of": str(new.recurrence_of) if new.recurrence_of else None,
        "lead_alert_id": new.lead_alert_id,
    }


def _update_episodes(execute: Execute, batch: Batch, now: datetime) -> None:
    """Update stored episodes. Runs before the new ones are inserted: an alert has at most one open episode."""
    if changed := batch.changed_episodes:
        rows = [_episode_row(one) | {"is_changed": one.is_changed} for one in changed]
        execute(statements.UPDATE_EPISODES, {"episodes": json.dumps(rows), "now": now})


def _insert_episodes(execute: Execute, batch: Batch, now: datetime) -> None:
    if openings := batch.openings:
        rows = [
            _episode_row(turn.episode) | {"alert_id": turn.alert_id, "incident_id": str(turn.episode.incident_id)}
            for turn in openings
        ]
        execute(statements.INSERT_EPISODES, {"episodes": json.dumps(rows), "now": now})


def _episode_row(episode: EpisodeState) -> dict[str, Any]:
    return {
        "id": episode.id,
        "counted": episode.counted,
        "starts": [at.isoformat() for at in episode.starts],
        "is_open": episode.is_open,
        "ends_at": episode.ends_at.isoformat() if episode.ends_at else None,
    }


def _find_leads(execute: Execute, batch: Batch, correlator: Correlator) -> Rows | None:
    """Asks for the alerts whose words incidents are to have now that another one's are over."""
    changed = {turn.episode.incident_id for turn in batch.closings} | correlator.awoken
    found = json.dumps(sorted(map(str, changed)))
    return execute(statements.FIND_LEADS, {"incidents": found}) if changed else None


def _follow(execute: Execute, leads: Rows | None, policy: Policy) -> list[NewEvent]:
    """Title and labels follow what is open; what timelines tell of it."""
    found = [Lead(*row) for row in leads.fetchall()] if leads else []
    words = [lead.words(policy) for lead in found]
    transitions.follow_leads(execute, words)
    events = (lead.event(row["title"]) for lead, row in zip(found, words, strict=True))
    return [event for event in events if event]


def _resolve_or_settle(execute: Execute, batch: Batch, rules: Correlation, now: datetime) -> dict[UUID, float]:
    """Resolve the incidents whose last episode closed, now or by a later job, as the policy says."""
    # What a paused rule no longer watches may be as broken as before: that is a person's to say.
    paused = {turn.episode.incident_id for turn in batch.closings if unproven_end(turn.notification) in STILL_OPEN_ENDS}
    closing = sorted({turn.episode.incident_id for turn in batch.closings} - paused)
    if not closing or rules.auto_resolve == "never":
        return {}
    if isinstance(rules.auto_resolve, QuietTime):
        wait = timedelta(seconds=rules.auto_resolve.quiet)
        defer_by(execute, Job.SETTLE_INCIDENT, after=wait, incident_ids=[str(id_) for id_ in closing])
        return {}
    return transitions.resolve_quiet(execute, closing, 0, now)


def _resolved_event(incident_id: UUID) -> NewEvent:
    return NewEvent(incident_id, EventKind.RESOLVED, SYSTEM, {"reason": "alerts_resolved"})
