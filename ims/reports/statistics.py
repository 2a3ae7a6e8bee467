"""The statistics on top of the incident list: few, cheap, and compared with the week before."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, literal_column, select, text
from sqlalchemy.orm import Session

from ims.incidents.models import Incident, Status
from ims.reports.rollups import PENDING_FACTS
from ims.reports.summary import ONE_DAY, Chosen, Day, Metric, read_summary
from ims.runs.queries import count_active

WINDOW = timedelta(days=7)
HEALED_WITHIN = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean in seconds, None without incidents, and its change in per cent against the previous window."""

    seconds: float | None
    change: float | None = None


@dataclass(frozen=True, slots=True)
class Statistics:
    """Present counts of incidents, and mean times of the last 7 days."""

    open: int
    needing_attention: int
    healing: int
    healed: int
    """Incidents healed in the last 24 hours."""
    mtta: Mean
    mttr: Mean


def read_statistics(session: Session, now: datetime) -> Statistics:
    """All statistics. The cost does not grow with resolved incidents: partial indexes and daily statistics are read."""
    unresolved, needing = session.execute(
        select(func.count(), func.count(Incident.attention_at)).where(Incident.status != literal_column("'resolved'"))
    ).one()
    healed = session.scalar(select(func.count()).where(Incident.healed_at >= now - HEALED_WITHIN)) or 0
    mtta, mttr = read_means(session, now)
    return Statistics(unresolved, needing, sum(count_active(session).values()), healed, mtta, mttr)


# All incidents in the database are those opened minus those removed; only unresolved ones have to be counted.
_BY_STATUS: Final = text(
    f"""
    SELECT status, count(*) FROM incident WHERE status <> 'resolved' GROUP BY status
    UNION ALL
    SELECT 'resolved', (
        SELECT coalesce(sum(CASE metric WHEN 'opened' THEN incidents ELSE -incidents END), 0) FROM incident_daily
        WHERE scope = 'all' AND service = '' AND environment = '' AND team = '' AND days = 1 AND severity = '*'
          AND metric IN ('opened', 'removed')
    ) + (
        SELECT coalesce(sum(CASE metric WHEN 'opened' THEN n ELSE -n END), 0) FROM ({PENDING_FACTS}) AS pending
        WHERE metric IN ('opened', 'removed')
    ) - (SELECT count(*) FROM incident WHERE status <> 'resolved')
    """  # noqa: S608 - the text is ours
)


def count_by_status(session: Session) -> dict[str, int]:
    """How many incidents are in each status; every status is included."""
    found = {status: int(count) for status, count in session.execute(_BY_STATUS)}
    return {status.value: found.get(status, 0) for status in Status}


def read_means(session: Session, now: datetime) -> tuple[Mean, Mean]:
    """MTTA and MTTR of the last 7 days, today included, each with its change against the 7 days before."""
    days = read_summary(session, now - 2 * WINDOW + ONE_DAY, now + ONE_DAY, Chosen(), now).days
    before, recent = days[: WINDOW.days], days[WINDOW.days :]
    mtta, mttr = (
        _mean(_over(recent, metric), _over(before, metric)) for metric in (Metric.ACKNOWLEDGED, Metric.RESOLVED)
    )
    return mtta, mttr


def _over(days: Sequence[Day], metric: Metric) -> float | None:
    """The mean over several days, weighted by incidents; None without incidents."""
    sums = [(mean * day.counts[metric], day.counts[metric]) for day in days if (mean := day.means[metric]) is not None]
    return sum(seconds for seconds, _ in sums) / sum(count for _, count in sums) if sums else None


def _mean(recent: float | None, before: float | None) -> Mean:
    if recent is None:
        return Mean(None)
    return Mean(recent, (recent - before) / before * 100 if before else None)
