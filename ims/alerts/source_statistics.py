"""Counts of a source's alerts, dead letters and tokens."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ims.accounts.models import ApiToken
from ims.alerts.models import Alert, DeadLetter, Episode
from ims.core.errors import NotFound
from ims.sources.models import Source


@dataclass(frozen=True, slots=True)
class SourceStatistics:
    alerts: int
    firing: int
    rejected: int
    tokens: int


def statistics_of(session: Session, name: str) -> SourceStatistics:
    """The counts of one source. Raises `NotFound`."""
    if session.get(Source, name) is None:
        raise NotFound(f"There is no source {name}.")
    alerts = select(func.count()).where(Alert.source == name)
    firing = (
        select(func.count())
        .select_from(Episode)
        .join(Alert, Alert.id == Episode.alert_id)
        .where(Alert.source == name, Episode.closed_at.is_(None))
    )
    return SourceStatistics(
        alerts=session.scalar(alerts) or 0,
        firing=session.scalar(firing) or 0,
        rejected=session.scalar(select(func.count()).where(DeadLetter.source == name)) or 0,
        tokens=session.scalar(select(func.count()).where(ApiToken.source == name)) or 0,
    )
