"""The figures on top of the overview: few, cheap, and comparable with the week before."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, SQLColumnExpression, case, extract, func, select
from sqlalchemy.orm import Session

from ims.incidents.models import Incident, Status
from ims.incidents.queries import UNRESOLVED
from ims.runs.models import ACTIVE, Run

WINDOW = timedelta(days=7)
HEALED_WITHIN = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean in seconds, none without incidents, and its change in per cent against the window before."""

    seconds: float | None
    change: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """How things are now, and how long they took in the last 7 days."""

    open: int
    needing_people: int
    healing: int
    healed: int
    """Incidents verified well in the last 24 hours."""
    mtta: Mean
    mttr: Mean


def read_figures(session: Session, now: datetime) -> Figures:
    """All figures; the windows are read by the index on opened_at."""
    unresolved, needing = session.execute(
        select(func.count(), func.count(Incident.attention_at)).where(Incident.status.in_(UNRESOLVED))
    ).one()
    healing = session.scalar(select(func.count()).where(Run.status.in_(ACTIVE))) or 0
    healed = session.scalar(select(func.count()).where(Incident.healed_at >= now - HEALED_WITHIN)) or 0
    mtta, mttr = read_means(session, now)
    return Figures(unresolved, needing, healing, healed, mtta, mttr)


def count_by_status(session: Session) -> dict[str, int]:
    """How many incidents are in each status, those with none included."""
    query = select(Incident.status, func.count()).group_by(Incident.status)
    found = {status: count for status, count in session.execute(query)}  # noqa: C416 - rows are no pairs to mypy
    return {status.value: found.get(status, 0) for status in Status}


def read_means(session: Session, now: datetime) -> tuple[Mean, Mean]:
    """MTTA and MTTR of incidents opened in the last window, each with its change against the window before."""
    is_recent = Incident.opened_at >= now - WINDOW
    # Automation alone does not count for MTTA: acknowledged, or else a person's first action.
    to_acknowledge = _seconds(func.coalesce(Incident.acknowledged_at, Incident.first_human_at))
    to_resolve = _seconds(Incident.resolved_at)
    row = session.execute(
        select(
            func.avg(case((is_recent, to_acknowledge))),
            func.avg(case((~is_recent, to_acknowledge))),
            func.avg(case((is_recent, to_resolve))),
            func.avg(case((~is_recent, to_resolve))),
        ).where(Incident.opened_at >= now - 2 * WINDOW, Incident.opened_at <= now)
    ).one()
    return _mean(row[0], row[1]), _mean(row[2], row[3])


def _seconds(moment: SQLColumnExpression[Any]) -> ColumnElement[Any]:
    return extract("epoch", moment - Incident.opened_at)


def _mean(recent: float | None, before: float | None) -> Mean:
    if recent is None:
        return Mean(None)
    change = (float(recent) - float(before)) / float(before) * 100 if before else None
    return Mean(float(recent), change)
