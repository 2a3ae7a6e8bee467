"""How each service is right now, as far as alerts, runs and maintenance windows tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import exists, func, literal_column, select
from sqlalchemy.orm import Session

from ims.alerts.models import Episode
from ims.incidents.models import Incident
from ims.maintenance.queries import OpenWindow, open_windows
from ims.policy.queries import active_policy
from ims.policy.schema import Policy, Service
from ims.runs.models import ACTIVE, Run
from ims.sources.definition import OWN_SOURCE
from ims.sources.models import Source

MOST_UNRESOLVED = 20_000


class ServiceStatus(StrEnum):
    """What a service is, the most telling first."""

    HEALING = "healing"
    """A run is at work on it."""
    FIRING = "firing"
    """An alert of it fires."""
    MAINTENANCE = "maintenance"
    """A maintenance window is open: nobody is told and nothing is healed, whatever fires."""
    UNKNOWN = "unknown"
    """Nobody would tell us: no sender of alerts is heard."""
    HEALTHY = "healthy"


@dataclass(frozen=True, slots=True)
class KnownService:
    """One service; `window` is the name of an open maintenance window that covers it."""

    service: Service
    condition: ServiceStatus
    unresolved: int
    """Incidents."""
    run: int | None
    """Number of the run at work on it."""
    window: str | None
    window_ends: datetime | None

    @property
    def name(self) -> str:
        """The inventory host."""
        return self.service.name


@dataclass(frozen=True, slots=True)
class _Unresolved:
    incidents: int
    firing: int


def read_service_statuses(session: Session, now: datetime) -> list[KnownService]:
    """Every service of the active policy, by name; none before the first policy was loaded."""
    active = active_policy(session)
    if active is None or not active.policy.services:
        return []
    unresolved, runs = _unresolved(session), _active_runs(session)
    opened, is_heard = open_windows(session, active.policy, now), _is_heard(session)
    return [
        _condition(service, active.policy, unresolved.get(name), runs.get(name), opened, is_heard=is_heard)
        for name, service in sorted(active.policy.services.items())
    ]


def _condition(
    service: Service,
    policy: Policy,
    unresolved: _Unresolved | None,
    run: int | None,
    opened: Sequence[OpenWindow],
    *,
    is_heard: bool,
) -> KnownService:
    cover = next((one for one in opened if _covers(one, service, policy)), None)
    if run is not None:
        condition = ServiceStatus.HEALING
    elif cover:
        condition = ServiceStatus.MAINTENANCE
    elif unresolved and unresolved.firing:
        condition = ServiceStatus.FIRING
    else:
        condition = ServiceStatus.HEALTHY if is_heard else ServiceStatus.UNKNOWN
    window, ends = (cover.window.name, cover.span.ends) if cover else (None, None)
    return KnownService(service, condition, unresolved.incidents if unresolved else 0, run, window, ends)


def _covers(opened: OpenWindow, service: Service, policy: Policy) -> bool:
    """Whether the window covers the service as a whole. One with conditions on labels covers some alerts only."""
    names = (service.name, service.service)
    return not opened.window.match and opened.window.covers({}, names, policy.groups_of(service))


def _unresolved(session: Session) -> Mapping[str, _Unresolved]:
    """Unresolved incidents by service. Of more than `MOST_UNRESOLVED` only the newest are counted."""
    unresolved = (
        select(Incident.id, Incident.service)
        # Written out: of a parameter the planner does not know that it fits the index of unresolved incidents. The
        # order is that index's, lest a planner without figures of the table read all of it.
        .where(Incident.status != literal_column("'resolved'"))
        .order_by(Incident.opened_at.desc())
        .limit(MOST_UNRESOLVED)
        .subquery()
    )
    is_firing = exists().where(Episode.incident_id == unresolved.c.id, Episode.closed_at.is_(None))
    query = select(unresolved.c.service, func.count(), func.count().filter(is_firing)).group_by(unresolved.c.service)
    rows = session.execute(query)
    return {service: _Unresolved(incidents, firing) for service, incidents, firing in rows if service}


def _active_runs(session: Session) -> Mapping[str, int]:
    """The run at work on each target; an index says that there is at most one."""
    query = select(Run.target, Run.number).where(Run.outcome.in_(ACTIVE))
    return {target: number for target, number in session.execute(query)}  # noqa: C416 - rows are no pairs to mypy


def _is_heard(session: Session) -> bool:
    """Whether any sender of alerts would be heard: one that may send and is not silent."""
    heard = exists().where(Source.disabled_at.is_(None), Source.stale_since.is_(None), Source.name != OWN_SOURCE)
    return bool(session.scalar(select(heard)))
