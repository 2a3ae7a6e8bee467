"""The only writer of the table `incident` and of timelines.

Every change of an incident, by a person or a program, calls a function of this module in the transaction of its cause.
Each is a guarded update: it changes only incidents that are still in the state from which the change starts, and
returns which ones it changed, so of two concurrent equal changes one succeeds.

Changes are recorded as events. `append` writes them to the timelines and announces them in the same statement: one job
carries what changed to the subscribers of the engine (`ims.engine.subscribers`). There is no event without its
announcement, and a rolled-back event is not announced.

Incidents are locked in the order of their ids, so two batches that share some cannot deadlock. Functions on the hot
path take an `Execute` and work on a whole batch; functions for actions of people take a session.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import case, func, text, update
from sqlalchemy.orm import Session

from ims.core.actors import HUMAN, Actor
from ims.core.db.direct import Execute, through
from ims.core.queue import Job
from ims.incidents.models import EventKind, Incident, Status

COMES_FROM: Final[Mapping[Status, tuple[Status, ...]]] = {
    Status.ACKNOWLEDGED: (Status.OPEN,),
    Status.IN_PROGRESS: (Status.ACKNOWLEDGED,),
    Status.RESOLVED: (Status.OPEN, Status.ACKNOWLEDGED, Status.IN_PROGRESS),
}
"""The lifecycle: each status and those it can be reached from. Nothing leaves `resolved`."""

ANNOUNCED: Final = frozenset({
    EventKind.INCIDENT_OPENED, EventKind.SEVERITY_RAISED, EventKind.AUTOMATION_GAVE_UP, EventKind.FLAPPING,
    EventKind.VERIFICATION_PASSED, EventKind.VERIFICATION_FAILED, EventKind.MAINTENANCE_BEGAN,
    EventKind.MAINTENANCE_ENDED, EventKind.ACKNOWLEDGED, EventKind.IN_PROGRESS, EventKind.RESOLVED, EventKind.EDITED,
    EventKind.NOTE,
})  # fmt: skip
"""Events that change the incident itself: subscribers are called for them. The other events of alerts and runs are
written to the timeline only."""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to write; `data` holds the values for the sentence on the page, never a secret."""

    incident_id: UUID
    kind: EventKind
    actor: Actor
    data: dict[str, Any] = field(default_factory=dict)


# The row lock orders the timeline: numbers have no gaps. Neither jsonb nor text can hold NUL: callers clean what comes
# from outside. The statement that writes the events also writes the job, which saves a round trip; it calls
# Procrastinate's own function, with its default priority and no lock.
_APPEND: Final = """
    WITH new AS MATERIALIZED (
        SELECT * FROM ROWS FROM (json_to_recordset(%(events)s::json) AS (
            incident_id uuid, kind text, actor_kind text, actor text, data jsonb
        )) WITH ORDINALITY
    ), locked AS MATERIALIZED (
        SELECT id FROM incident WHERE id = ANY(ARRAY(SELECT incident_id FROM new)) ORDER BY id FOR NO KEY UPDATE
    ), bumped AS (
        UPDATE incident SET last_seq = last_seq + added.n, version = version + 1, updated_at = %(now)s
        FROM (SELECT incident_id, count(*) AS n FROM new JOIN locked ON locked.id = incident_id GROUP BY 1) AS added
        WHERE incident.id = added.incident_id
        RETURNING incident.id, incident.last_seq - added.n AS base
    ), written AS (
        INSERT INTO timeline_event (incident_id, seq, at, kind, actor_kind, actor, data)
        SELECT new.incident_id, bumped.base + row_number() OVER (PARTITION BY new.incident_id ORDER BY new.ordinality),
               %(now)s, new.kind, new.actor_kind, new.actor, new.data
        FROM new JOIN bumped ON bumped.id = new.incident_id
        RETURNING incident_id, seq, kind
    ), announced AS (
        SELECT jsonb_agg(jsonb_build_array(incident_id, seq, kind)) AS changes FROM written
        WHERE kind IN (SELECT json_array_elements_text(%(announced)s::json))
    )
    SELECT procrastinate_defer_jobs_v1(ARRAY[
        ROW(%(queue)s, %(task)s, 0, NULL, NULL, jsonb_build_object('changes', changes), NULL)
    ]::procrastinate_job_to_defer_v1[])
    FROM announced WHERE changes IS NOT NULL
    """
_ANNOUNCED: Final = json.dumps(sorted(ANNOUNCED))


def append(session: Session, events: Sequence[NewEvent], now: datetime) -> None:
    """Write events to their incidents' timelines, in the order given; one statement whatever their number."""
    if events:
        append_by(through(session), events, now)


def append_by(execute: Execute, events: Sequence[NewEvent], now: datetime) -> None:
    """Like `append`, for callers without a session."""
    if not events:
        return
    rows = [
        {
            "incident_id": str(event.incident_id),
            "kind": event.kind.value,
            "actor_kind": event.actor.kind.value,
            "actor": event.actor.name,
            "data": event.data,
        }
        for event in events
    ]
    job = Job.INCIDENTS_CHANGED
    execute(
        _APPEND,
        {
            "events": json.dumps(rows),
            "now": now,
            "announced": _ANNOUNCED,
            "queue": job.queue.value,
            "task": job.value,
        },
    )


# The number is taken here, where the row is certain to be new: callers have checked that it does not exist.
_OPEN: Final = """
    INSERT INTO incident (id, number, title, description, service, environment, severity, status, assignee, team,
                          runbook_url, labels, correlation_key, recurrence_of, lead_alert_id, opened_at, updated_at,
                          version, last_seq)
    SELECT id, nextval('incident_number_seq'), title, description, service, environment, severity, 'open', assignee,
           team, runbook_url, labels, correlation_key, recurrence_of, lead_alert_id, %(now)s, %(now)s, 1, 0
    FROM (
        SELECT * FROM ROWS FROM (json_to_recordset(%(incidents)s::json) AS (
            id uuid, title text, description text, service text, environment text, severity text, assignee text,
            team text, runbook_url text, labels jsonb, correlation_key text, recurrence_of uuid,
            lead_alert_id bigint
        )) WITH ORDINALITY
        ORDER BY ordinality
    ) AS new
    """


def open_incidents(execute: Execute, incidents: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Insert incidents, numbered in the order given; each mapping holds the columns that the caller knows."""
    if incidents:
        execute(_OPEN, {"incidents": json.dumps(list(incidents)), "now": now})


_RAISE: Final = """
    UPDATE incident SET severity = t.severity
    FROM json_to_recordset(%(raised)s::json) AS t (id uuid, severity text)
    WHERE incident.id = t.id
    """


def raise_severities(execute: Execute, severities: Mapping[UUID, str]) -> None:
    """Raise the severities of locked incidents. The caller has compared them."""
    if severities:
        raised = [{"id": str(id_), "severity": severity} for id_, severity in severities.items()]
        execute(_RAISE, {"raised": json.dumps(raised)})


_FOLLOW: Final = """
    UPDATE incident SET
        lead_alert_id = t.lead_alert_id,
        labels = t.labels,
        title = CASE WHEN titled_by_person THEN incident.title ELSE t.title END,
        description = CASE WHEN titled_by_person THEN incident.description ELSE t.description END,
        runbook_url = t.runbook_url
    FROM json_to_recordset(%(words)s::json) AS t (
        id uuid, lead_alert_id bigint, labels jsonb, title text, description text, runbook_url text
    )
    WHERE incident.id = t.id
    """


def follow_leads(execute: Execute, words: Sequence[Mapping[str, Any]]) -> None:
    """Give locked incidents the words of an alert that is open; what a person has written stays."""
    if words:
        execute(_FOLLOW, {"words": json.dumps(list(words))})


# Resolves those of the incidents, locked before, whose last open episode is closed. Without a quiet time it compares no
# times: the clock of the process that closed the episode may be ahead of ours. Limited subqueries read one entry of an
# index; for a NOT EXISTS PostgreSQL may read every open episode there is.
RESOLVE_QUIET: Final = """
    UPDATE incident SET status = 'resolved', resolved_at = greatest(%(now)s, opened_at)
    WHERE id = ANY(ARRAY(SELECT value::uuid FROM json_array_elements_text(%(incidents)s::json)))
      AND status <> 'resolved'
      AND (SELECT true FROM episode WHERE incident_id = incident.id AND closed_at IS NULL LIMIT 1) IS NULL
      AND (%(quiet)s::double precision = 0 OR (
            SELECT true FROM episode WHERE incident_id = incident.id
            AND closed_at > %(now)s - make_interval(secs => %(quiet)s::double precision) LIMIT 1) IS NULL)
    RETURNING id, extract(epoch FROM resolved_at - opened_at)::double precision AS seconds
    """


def resolve_quiet(execute: Execute, incident_ids: Collection[UUID], quiet: float, now: datetime) -> dict[UUID, float]:
    """Resolve those of the locked incidents in which no alert has fired for `quiet` seconds.

    Returns how many seconds each was open, in the order of their ids. The caller writes their events.
    """
    found = {"incidents": json.dumps([str(id_) for id_ in incident_ids]), "quiet": quiet, "now": now}
    return dict(sorted(map(tuple, execute(RESOLVE_QUIET, found).fetchall())))


# The incidents are locked. Counting stops one above the limit, however often the alert fired.
_MARK_FLAPPING: Final = """
    UPDATE incident SET flapping_since = %(now)s
    FROM (
        SELECT DISTINCT ON (t.incident_id) t.incident_id, t.alert_id
        FROM ROWS FROM (json_to_recordset(%(openings)s::json) AS (alert_id bigint, incident_id uuid))
            WITH ORDINALITY AS t
        CROSS JOIN LATERAL (
            SELECT count(*) AS n FROM (
                SELECT FROM episode WHERE alert_id = t.alert_id AND opened_at > %(since)s
                LIMIT %(most)s::integer + 1
            ) AS recent
        ) AS counted
        WHERE counted.n > %(most)s::integer
        ORDER BY t.incident_id, t.ordinality
    ) AS flapping
    WHERE incident.id = flapping.incident_id AND incident.flapping_since IS NULL
    RETURNING incident.id, flapping.alert_id
    """


def mark_flapping(
    execute: Execute, openings: Sequence[tuple[int, UUID]], *, most: int, since: datetime, now: datetime
) -> list[tuple[UUID, int]]:
    """Mark the locked incidents whose alert opened more than `most` episodes since `since`, once each.

    `openings` are pairs (alert, incident). Returns the marked ones as pairs (incident, alert).
    """
    rows = [{"alert_id": alert_id, "incident_id": str(incident_id)} for alert_id, incident_id in openings]
    given = {"openings": json.dumps(rows), "since": since, "most": most, "now": now}
    return [(incident_id, alert_id) for incident_id, alert_id in execute(_MARK_FLAPPING, given).fetchall()]


_BEGIN_MAINTENANCE = text(
    """
    UPDATE incident SET maintenance = t.mark
    FROM unnest(CAST(:incidents AS uuid[]), CAST(:marks AS text[])) AS t (id, mark)
    WHERE incident.id = t.id AND incident.maintenance IS NULL
    RETURNING incident.id
    """
)


def begin_maintenance(session: Session, windows: Mapping[UUID, str]) -> list[UUID]:
    """Mark incidents with the name of the window that covers them, unless they are marked; those that were."""
    if not windows:
        return []
    marks = {"incidents": list(windows), "marks": list(windows.values())}
    return sorted(session.scalars(_BEGIN_MAINTENANCE, marks))


def end_maintenance(session: Session, incident_ids: Sequence[UUID]) -> list[UUID]:
    """Clear the marks of incidents; those that had one."""
    if not incident_ids:
        return []
    statement = (
        update(Incident)
        .where(Incident.id.in_(incident_ids), Incident.maintenance.is_not(None))
        .values(maintenance=None)
        .returning(Incident.id)
        .execution_options(synchronize_session=False)
    )
    return sorted(session.scalars(statement))


_NEED_ATTENTION = text(
    """
    UPDATE incident SET attention_at = :now, attention_reason = t.reason
    FROM unnest(CAST(:incidents AS uuid[]), CAST(:reasons AS text[])) AS t (id, reason)
    WHERE incident.id = t.id AND incident.attention_at IS NULL
    RETURNING incident.id
    """
)


def need_attention(session: Session, reasons: Mapping[UUID, str], now: datetime) -> set[UUID]:
    """Mark locked incidents that automation cannot resolve, once each. Returns those that were marked now."""
    if not reasons:
        return set()
    given = {"incidents": list(reasons), "reasons": list(reasons.values()), "now": now}
    return set(session.scalars(_NEED_ATTENTION, given))


def mark_healed(session: Session, incident_id: UUID, at: datetime) -> None:
    """Record that the service was healthy again after a run, since `at`: a mark, not a status."""
    session.execute(update(Incident).where(Incident.id == incident_id).values(healed_at=at))


def forget_recurrence(session: Session, incident_ids: Sequence[UUID]) -> None:
    """Clear references to incidents that are about to be removed; timelines of later incidents still mention them."""
    session.execute(
        update(Incident)
        .where(Incident.recurrence_of.in_(incident_ids))
        .values(recurrence_of=None)
        .execution_options(synchronize_session=False)
    )


def step(session: Session, incident_id: UUID, to: Status, *, actor: Actor, now: datetime) -> bool:
    """Move an incident to the status `to`; false if its present status does not allow it, or the incident is gone."""
    column = {Status.ACKNOWLEDGED: "acknowledged_at", Status.IN_PROGRESS: "in_progress_at"}.get(to, "resolved_at")
    values = {"status": to, column: now}
    return touch(session, incident_id, actor=actor, now=now, origins=COMES_FROM[to], values=values)


def touch(
    session: Session,
    incident_id: UUID,
    *,
    actor: Actor,
    now: datetime,
    origins: Sequence[Status] = tuple(Status),
    values: Mapping[str, object] | None = None,
) -> bool:
    """Write `values` if the incident is in one of `origins`; false if it is not, or is gone.

    A person's first action is recorded for MTTA, unless the incident is resolved already.
    """
    written: dict[str, object] = {**(values or {}), "updated_at": now}
    if actor.kind in HUMAN:
        is_over = Incident.status == Status.RESOLVED
        written["first_human_at"] = func.coalesce(Incident.first_human_at, case((~is_over, now)))
    changed = session.execute(
        update(Incident)
        .where(Incident.id == incident_id, Incident.status.in_(origins))
        .values(**written)
        .returning(Incident.id)
        .execution_options(synchronize_session=False)
    )
    return changed.scalar_one_or_none() is not None


def lock(session: Session, incident: Incident) -> Incident:
    """Refresh the incident and lock its row until the end of the transaction."""
    session.refresh(incident, with_for_update={"key_share": True})
    return incident


def correct_future_times(session: Session, tolerance: timedelta, recent: int) -> int:
    """Set times of the newest `recent` incidents that lie in the future to the present; returns how many had one.

    Writes no event: nothing happened to the incident. Timelines are not rewritten; their events have numbers.
    """
    given = {"tolerance": tolerance, "recent": recent}
    return len(session.execute(_CORRECT, given).all())


_TIMES: Final = (
    "opened_at", "acknowledged_at", "in_progress_at", "first_human_at", "resolved_at", "healed_at", "attention_at",
    "flapping_since", "updated_at",
)  # fmt: skip
_CORRECT: Final = text(
    "UPDATE incident SET "  # noqa: S608 - the names are those above
    + ", ".join(
        f"{name} = CASE WHEN {name} > clock_timestamp() THEN clock_timestamp() ELSE {name} END" for name in _TIMES
    )
    + " WHERE number > (SELECT coalesce(max(number), 0) FROM incident) - :recent AND ("
    + " OR ".join(f"{name} > clock_timestamp() + CAST(:tolerance AS interval)" for name in _TIMES)
    + ") RETURNING id"
)
