"""Reading sources."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ims.accounts.models import ApiToken
from ims.alerts.models import Alert, Episode, RejectedAlert, Source
from ims.errors import NotFound


@dataclass(frozen=True, slots=True)
class SourceFigures:
    """What there is of a source."""

    alerts: int
    firing: int
    rejected: int
    tokens: int


def all_sources(session: Session) -> Sequence[Source]:
    """Every source, by name."""
    return session.scalars(select(Source).order_by(Source.name)).all()


def held_back(session: Session) -> Sequence[tuple[str, int]]:
    """Every source that is asked for what was missed, and how many alerts the last asking held back."""
    wanted = select(Source.name, Source.repair_held).where(
        Source.alertmanager_url.is_not(None), Source.disabled_at.is_(None)
    )
    return [(name, alerts) for name, alerts in session.execute(wanted)]


def figures_of(session: Session, name: str) -> SourceFigures:
    """How much there is of a source. Raises `NotFound`."""
    if session.get(Source, name) is None:
        raise NotFound(f"There is no source {name}.")
    alerts = select(func.count()).where(Alert.source == name)
    firing = (
        select(func.count())
        .select_from(Episode)
        .join(Alert, Alert.id == Episode.alert_id)
        .where(Alert.source == name, Episode.closed_at.is_(None))
    )
    return SourceFigures(
        alerts=session.scalar(alerts) or 0,
        firing=session.scalar(firing) or 0,
        rejected=session.scalar(select(func.count()).where(RejectedAlert.source == name)) or 0,
        tokens=session.scalar(select(func.count()).where(ApiToken.source == name)) or 0,
    )
