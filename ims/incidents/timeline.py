"""Writing timelines: events get the next numbers of their incident, in order and without gaps."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy import text
from sqlalchemy.orm import Session

from ims.actors import Actor
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
_APPEND = text(
    """
    WITH new AS (
        SELECT * FROM unnest(
            CAST(:incidents AS uuid[]), CAST(:kinds AS text[]), CAST(:actor_kinds AS text[]), CAST(:actors AS text[]),
            CAST(:datas AS jsonb[])
        ) WITH ORDINALITY AS t (incident_id, kind, actor_kind, actor, data, place)
    ), locked AS MATERIALIZED (
        SELECT id FROM incident WHERE id IN (SELECT incident_id FROM new) ORDER BY id FOR NO KEY UPDATE
    ), bumped AS (
        UPDATE incident SET last_seq = last_seq + added.n, version = version + 1, updated_at = :now
        FROM (SELECT incident_id, count(*) AS n FROM new JOIN locked ON locked.id = incident_id GROUP BY 1) AS added
        WHERE incident.id = added.incident_id
        RETURNING incident.id, incident.last_seq - added.n AS base
    )
    INSERT INTO timeline_event (incident_id, seq, at, kind, actor_kind, actor, data)
    SELECT new.incident_id, bumped.base + row_number() OVER (PARTITION BY new.incident_id ORDER BY new.place),
           :now, new.kind, new.actor_kind, new.actor, new.data
    FROM new JOIN bumped ON bumped.id = new.incident_id
    """
)


def append(session: Session, events: Sequence[NewEvent], now: datetime) -> None:
    """Write events to their incidents' timelines, in the order given; one statement whatever their number."""
    if not events:
        return
    session.flush()
    session.execute(
        _APPEND,
        {
            "incidents": [event.incident_id for event in events],
            "kinds": [event.kind.value for event in events],
            "actor_kinds": [event.actor.kind.value for event in events],
            "actors": [event.actor.name for event in events],
            "datas": [Jsonb(event.data) for event in events],
            "now": now,
        },
    )
