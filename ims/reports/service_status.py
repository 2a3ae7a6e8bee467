"""The present status of each service, from alerts, runs and maintenance windows."""

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
    """The status of a service, in the order in which the overview shows them."""

    HEALING = "healing"
    """A run for it is active."""
    FIRING = "firing"
    """One of its alerts is firing."""
    MAINTENANCE = "maintenance"
    """A maintenance window covers it: IMS records its alerts, but neither heals nor notifies anyone."""
    UNKNOWN = "unknown"
    """All sources are stale or disabled, so no alert would arrive."""
    HEALTHY = "healthy"


@dataclass(frozen=True, slots=True)
class KnownService:
    """One service; `window` is the name of an open maintenance window that covers it."""

    service: Service
    status: ServiceStatus
    unresolved: int
    """Number of unresolved incidents."""
    run: int | None
    """Number of its active run."""
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
    """Every service of the active policy, by name; none before the first policy is loaded."""
    active = active_policy(session)
    if active is None or not active.policy.services:
        return []
    unresolved, runs = _unresolved(session), _active_runs(session)
    opened, has_source = open_windows(session, active.policy, now), _has_active_source(session)
    return [
        _known(service, active.policy, unresolved.get(name), runs.get(name), opened, has_source=has_source)
        for name, service in sorted(active.policy.services.items())
    ]


def _known(
    service: Service,
    policy: Policy,
    unresolved: _Unresolved | None,
    run: int | None,
    opened: Sequence[OpenWindow],
    *,
    has_source: bool,
) -> KnownService:
    cover = next((one for one in opened if _covers(one, service, policy)), None)
    if run is not None:
        status = ServiceStatus.HEALING
    elif cover:
        status = ServiceStatus.MAINTENANCE
    elif unresolved and unresolved.firing:
        status = ServiceStatus.FIRING
    else:
        status = ServiceStatus.HEALTHY if has_source else ServiceStatus.UNKNOWN
    window, ends = (cover.window.name, cover.span.ends) if cover else (None, None)
    return KnownService(service, status, unresolved.incidents if unresolved else 0, run, window, ends)


def _covers(opened: OpenWindow, service: Service, policy: Policy) -> bool:
    """Whether the window covers the service as a whole. One with label matchers covers only some alerts."""
    names = (service.name, service.service)
    return not opened.window.match and opened.window.covers({}, names, policy.groups_of(service))


def _unresolved(session: Session) -> Mapping[str, _Unresolved]:
    """Unresolved incidents by service. Of more than `MOST_UNRESOLVED` only the newest are counted."""
    unresolved = (
        select(Incident.id, Incident.service)
        # A literal: with a parameter the planner does not know that the index of unresolved incidents applies. The
        # order is that of the index, so that a planner without statistics of the table does not read all of it.
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
    """The active run of each target; a unique index guarantees that there is at most one."""
    query = select(Run.target, Run.number).where(Run.outcome.in_(ACTIVE))
    return {target: number for target, number in session.execute(query)}  # noqa: C416 - rows are no pairs to mypy


def _has_active_source(session: Session) -> bool:
    """Whether at least one source is neither disabled nor stale."""
    active = exists().where(Source.disabled_at.is_(None), Source.stale_since.is_(None), Source.name != OWN_SOURCE)
    return bool(session.scalar(select(active)))
