"""The panels of the overview: service statuses, active runs, and the last 24 hours.

Browsers poll the page every second. So the data that shows whether it changed is read by indexes and is bounded, and
the lanes are drawn only after a change.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BIGINT, Uuid, cast, func, literal_column, select, union_all
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.orm import Session

from ims.incidents.models import Incident, Status
from ims.reports.lanes import Lane, lay
from ims.reports.outlines import Outline, outlines
from ims.reports.service_status import KnownService, ServiceStatus, read_service_statuses
from ims.runs.models import ACTIVE, Run, RunEvent, RunOutcome

DAY = timedelta(hours=24)
MOST_SERVICES = 48
MOST_RUNS = 6
MOST_LANES = 8
MOST_IN_A_LANE = 40
MOST_RECENT = 2_000
"""Incidents of the last 24 hours that are read, newest first; a storm opens more than a page can show."""
MOST_LASTING = 200
MOST_TASKS = 3_000
"""Events of a run among which its tasks are counted."""

# A literal: with a parameter the planner does not know that the index of unresolved incidents applies.
IS_UNRESOLVED = Incident.status != literal_column("'resolved'")
TASK_STARTED = "playbook_on_task_start"


@dataclass(frozen=True, slots=True)
class Services:
    """The services that are shown, and the number of those left out."""

    shown: Sequence[KnownService]
    left_out: int
    counts: dict[ServiceStatus, int]


@dataclass(frozen=True, slots=True)
class Progress:
    """One active run: the number of tasks begun, the present task, and the number of tasks of the last healing run."""

    run: Run
    incident: int | None
    tasks: int
    task: str | None
    tasks_before: int | None

    @property
    def share(self) -> float | None:
        """Progress from 0 to 1, relative to the last run that healed this target; None without such a run."""
        if self.run.outcome == RunOutcome.VERIFYING:
            return 1.0
        return min(1.0, self.tasks / self.tasks_before) if self.tasks_before else None


@dataclass(frozen=True, slots=True)
class Recent:
    """The incidents of one service, or of no service (None), in the last 24 hours; `newest` are the ones to draw."""

    service: str | None
    incidents: int
    open: int
    newest: Sequence[UUID]
    fingerprint: Decimal
    """Changes when an incident is added, changed or removed."""


@dataclass(frozen=True, slots=True)
class Overview:
    """The data of the panels; the lanes are drawn from `recent` when the page is sent."""

    services: Services
    healing: Sequence[Progress]
    more_healing: int
    recent: Sequence[Recent]

    @property
    def state(self) -> list[object]:
        """Compares equal while the panels look the same."""
        services = [(one.name, one.status, one.unresolved, one.run, one.window) for one in self.services.shown]
        healing = [(one.run.number, one.run.outcome, one.tasks) for one in self.healing]
        recent = sorted(one.fingerprint for one in self.recent)
        return [services, self.services.left_out, healing, self.more_healing, recent]


@dataclass(frozen=True, slots=True)
class ServiceLane:
    """The lane of one service; `service` is None for incidents without one. Counts are of all its incidents."""

    service: str | None
    lane: Lane
    drawn: Sequence[Outline]
    incidents: int
    open: int

    @property
    def healed(self) -> int:
        """How many of the drawn incidents were healed."""
        return sum(one.healed_at is not None for one in self.drawn)


@dataclass(frozen=True, slots=True)
class Lanes:
    """The lanes of the last 24 hours. `left_out` is the number of services without a lane."""

    lanes: Sequence[ServiceLane]
    begins: datetime
    ends: datetime
    left_out: int
    is_cut: bool
    """Whether there were more incidents than are read."""


def read_overview(session: Session, now: datetime) -> Overview:
    """The panels at `now`."""
    healing, more = _healing(session)
    return Overview(_services(read_service_statuses(session, now)), healing, more, _recent(session, now))


def _services(statuses: Sequence[KnownService]) -> Services:
    """The services to show; if not all fit, unhealthy ones first."""
    counts = Counter(one.status for one in statuses)
    if len(statuses) <= MOST_SERVICES:
        return Services(statuses, 0, counts)
    order = list(ServiceStatus)
    shown = sorted(statuses, key=lambda one: (order.index(one.status), not one.unresolved, one.name))
    return Services(shown[:MOST_SERVICES], len(statuses) - MOST_SERVICES, counts)


def _healing(session: Session) -> tuple[list[Progress], int]:
    """The active runs that began first, and the number of further ones."""
    active = Run.outcome.in_(ACTIVE)
    query = select(Run, Incident.number).outerjoin(Incident, Incident.id == Run.incident_id).where(active)
    order = (Run.started_at.asc().nulls_last(), Run.number)
    found = session.execute(query.order_by(*order).limit(MOST_RUNS)).all()
    if not found:
        return [], 0
    more = (session.scalar(select(func.count()).where(active)) or 0) - len(found)
    tasks = _tasks(session, [run.id for run, _ in found])
    return [
        Progress(run, number, *tasks.get(run.id, (0, None)), _tasks_before(session, run)) for run, number in found
    ], more


def _tasks(session: Session, run_ids: Iterable[UUID]) -> dict[UUID, tuple[int, str | None]]:
    """For each run how many tasks have begun, and the name of the last one."""
    query = (
        select(RunEvent.run_id, func.count(), func.max(RunEvent.counter))
        .where(RunEvent.run_id.in_(list(run_ids)), RunEvent.kind == TASK_STARTED, RunEvent.counter <= MOST_TASKS)
        .group_by(RunEvent.run_id)
    )
    found = {}
    for run_id, count, counter in session.execute(query):
        last = session.get(RunEvent, (run_id, counter))
        found[run_id] = (count, last.task if last else None)
    return found


def _tasks_before(session: Session, run: Run) -> int | None:
    """Tasks of the last run of this playbook that healed this target; the index of the cooldown finds it."""
    before = session.scalar(
        select(Run.id)
        .where(Run.target == run.target, Run.playbook == run.playbook, Run.outcome == RunOutcome.HEALED)
        .order_by(Run.finished_at.desc())
        .limit(1)
    )
    return _tasks(session, [before]).get(before, (None, None))[0] if before else None


def _recent(session: Session, now: datetime) -> list[Recent]:
    """Incidents of the last 24 hours, and those from before that lasted into them, counted for each service."""
    begins = now - DAY
    columns = select(Incident.id, Incident.service, Incident.version, Incident.status, Incident.opened_at)
    newest = columns.where(Incident.opened_at >= begins).order_by(Incident.opened_at.desc()).limit(MOST_RECENT)
    unresolved = columns.where(IS_UNRESOLVED, Incident.opened_at < begins).order_by(Incident.opened_at.desc())
    # Most incidents that ended today also began today. The rows are limited, in the order of the index, before those
    # are left out: otherwise the database may read far more rows to find a few that do not exist.
    ended = columns.where(Incident.resolved_at >= begins).order_by(Incident.resolved_at.desc()).limit(MOST_RECENT)
    lasted = ended.subquery("ended")
    parts = [
        select(newest.subquery("newest")),
        select(unresolved.limit(MOST_LASTING).subquery("unresolved")),
        select(lasted).where(lasted.c.opened_at < begins),
    ]
    one = union_all(*parts).subquery("one").c
    # Counted and grouped by the database: thousands of rows a second are too many for Python.
    drawn = func.array_agg(aggregate_order_by(one.id, one.opened_at.desc()), type_=ARRAY(Uuid))[1:MOST_IN_A_LANE]
    of_service = select(
        one.service,
        func.count(),
        func.count().filter(one.status != Status.RESOLVED),
        drawn,
        func.sum(func.uuid_hash_extended(one.id, cast(one.version, BIGINT))),
    )
    return [Recent(*row) for row in session.execute(of_service.group_by(one.service))]


def draw_lanes(session: Session, recent: Sequence[Recent], now: datetime) -> Lanes:
    """The lanes of the most urgent services: those with open incidents first, then those with the most incidents."""
    chosen = sorted(recent, key=_urgency)[:MOST_LANES]
    drawn: dict[str | None, list[Outline]] = defaultdict(list)
    for outline in outlines(session, [own_id for one in chosen for own_id in one.newest], now):
        drawn[outline.service].append(outline)
    begins = now - DAY
    lanes = [
        ServiceLane(
            service=one.service,
            lane=lay([outline.lifeline for outline in drawn[one.service]], begins, now),
            drawn=drawn[one.service],
            incidents=one.incidents,
            open=one.open,
        )
        for one in sorted(chosen, key=lambda one: (one.service is None, one.service or ""))
    ]
    is_cut = sum(one.incidents for one in recent) >= MOST_RECENT
    return Lanes(lanes, begins, now, len(recent) - len(chosen), is_cut)


def _urgency(one: Recent) -> tuple[bool, int, str]:
    return not one.open, -one.incidents, one.service or ""
