"""Outlines: the few columns of incidents that lanes need. A page has hundreds, so whole rows are not read."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, Uuid, any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from ims.healing.queries import denials_of
from ims.incidents.models import Incident, Status
from ims.reports.history import AnyRow, history_of
from ims.reports.lifeline import Lifeline, draw
from ims.runs.models import Run


@dataclass(frozen=True, slots=True)
class Outline:
    """One incident in a lane."""

    number: int
    title: str
    service: str | None
    status: Status
    opened_at: datetime
    resolved_at: datetime | None
    healed_at: datetime | None
    lifeline: Lifeline


def outlines(session: Session, incident_ids: Sequence[UUID], now: datetime) -> list[Outline]:
    """The outlines of these incidents at `now`, by time of opening."""
    # One array parameter: a list of parameters would be a different statement for each length.
    wanted = any_(literal(list(incident_ids), ARRAY(Uuid)))
    incidents = select(
        Incident.id, Incident.number, Incident.title, Incident.service, Incident.status, Incident.opened_at,
        Incident.resolved_at, Incident.healed_at, Incident.acknowledged_at, Incident.attention_at,
        Incident.first_human_at,
    )  # fmt: skip
    runs = select(Run.incident_id, Run.outcome, Run.started_at, Run.finished_at, Run.ended_at)
    runs_of = _by_incident(session, runs.where(Run.incident_id == wanted).order_by(Run.queued_at, Run.number))
    denials = denials_of(session, incident_ids)
    return [
        Outline(
            one.number, one.title, one.service, one.status, one.opened_at, one.resolved_at, one.healed_at,
            draw(history_of(one, runs_of[one.id], denials.get(one.id, [])), now),
        )
        for one in session.execute(incidents.where(Incident.id == wanted).order_by(Incident.opened_at))
    ]  # fmt: skip


def _by_incident(session: Session, query: Select[*tuple[Any, ...]]) -> dict[UUID, list[AnyRow]]:
    found: dict[UUID, list[AnyRow]] = defaultdict(list)
    for row in session.execute(query):
        found[row.incident_id].append(row)
    return found
