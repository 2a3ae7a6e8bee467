"""Writing timelines: events get the next numbers of their incident, in order and without gaps."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.orm import Session

from ims.core.actors import Actor
from ims.core.db.direct import Execute, through
from ims.incidents.models import EventKind


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to be written; `data` holds what the sentence on the page needs, never a secret."""

    incident_id: UUID
    kind: EventKind
    actor: Actor
    data: dict[str, Any] = field(default_factory=dict)


# Incidents are locked in one order, so that two batches which share some cannot deadlock; the lock is what gives a
# timeline its order. jsonb has no NUL and neither has text: callers clean what comes from outside.
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
    )
    INSERT INTO timeline_event (incident_id, seq, at, kind, actor_kind, actor, data)
    SELECT new.incident_id, bumped.base + row_number() OVER (PARTITION BY new.incident_id ORDER BY new.ordinality),
           %(now)s, new.kind, new.actor_kind, new.actor, new.data
    FROM new JOIN bumped ON bumped.id = new.incident_id
    """


def append(session: Session, events: Sequence[NewEvent], now: datetime) -> None:
    """Write events to their incidents' timelines, in the order given; one statement whatever their number."""
    if events:
        append_by(through(session), events, now)


def append_by(execute: Execute, events: Sequence[NewEvent], now: datetime) -> None:
    """The same for whoever has no session."""
    if events:
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
        execute(_APPEND, {"events": json.dumps(rows), "now": now})
