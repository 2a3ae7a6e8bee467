"""Reading alerts: the list, and one of them with its episodes."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import Session

from ims.alerts.models import Alert, Episode
from ims.core.errors import NotFound
from ims.incidents.models import Incident

MOST_EPISODES = 100
"""Most episodes that are listed with an alert; a flapping alert has thousands."""


@dataclass(frozen=True, slots=True)
class AlertFilters:
    """Filters of alerts; an empty one matches all."""

    source: str = ""
    service: str = ""
    severity: str = ""
    name: str = ""
    environment: str = ""
    firing: bool | None = None


@dataclass(frozen=True, slots=True)
class ListedAlert:
    """An alert, and whether it fires now."""

    alert: Alert
    is_firing: bool


def list_alerts(session: Session, filters: AlertFilters, *, limit: int, before: int | None = None) -> list[ListedAlert]:
    """Alerts, the most recently first seen ones first; `before` is the last id of the previous page."""
    query = select(Alert, _IS_FIRING).where(*_conditions(filters)).order_by(Alert.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Alert.id < before)
    return [ListedAlert(alert, is_firing) for alert, is_firing in session.execute(query)]


def alert_one(session: Session, alert_id: int) -> ListedAlert:
    """One alert. Raises `NotFound`."""
    row = session.execute(select(Alert, _IS_FIRING).where(Alert.id == alert_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no alert {alert_id}.")
    return ListedAlert(*row)


def episodes_of_alert(session: Session, alert_id: int) -> Sequence[tuple[Episode, Incident]]:
    """The newest episodes of an alert with the incidents they belong to, newest first."""
    query = (
        select(Episode, Incident)
        .join(Incident, Incident.id == Episode.incident_id)
        .where(Episode.alert_id == alert_id)
        .order_by(Episode.opened_at.desc(), Episode.id.desc())
        .limit(MOST_EPISODES)
    )
    return [(episode, incident) for episode, incident in session.execute(query)]


_IS_FIRING: ColumnElement[bool] = exists().where(Episode.alert_id == Alert.id, Episode.closed_at.is_(None))


def _conditions(filters: AlertFilters) -> list[ColumnElement[bool]]:
    names = ("source", "service", "severity", "name", "environment")
    found = [getattr(Alert, name) == value for name in names if (value := getattr(filters, name))]
    if filters.firing is not None:
        found.append(_IS_FIRING if filters.firing else ~_IS_FIRING)
    return found
