"""What is read about runs."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from ims.core.errors import NotFound
from ims.incidents.models import Incident
from ims.policy.models import PolicySnapshot
from ims.policy.queries import active_policy
from ims.policy.schema import Policy
from ims.runs.models import ACTIVE, Approval, Run, RunEvent, RunOutcome, RunStatus, Verification

PAGE = 500
"""Number of events per query."""


def policy_of(session: Session, digest: str) -> Policy:
    """The policy of a stored revision. Raises `NotFound`."""
    active = active_policy(session)
    if active is not None and active.digest == digest:
        return active.policy
    snapshot = session.execute(
        select(PolicySnapshot.policy).where(PolicySnapshot.digest == digest)
    ).scalar_one_or_none()
    if snapshot is None:
        raise NotFound(f"There is no revision {digest}.")
    return Policy.from_stored(snapshot)


@dataclass(frozen=True, slots=True)
class RunFilters:
    """Filters of the list of runs; an empty filter matches all."""

    status: RunStatus | None = None
    outcome: RunOutcome | None = None
    target: str = ""
    rule: str = ""
    incident: int = 0
    """Number of the incident."""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run with the number of its incident, its verification and its approval."""

    run: Run
    incident: int | None
    verification: Verification | None = None
    approval: Approval | None = None


def list_runs(session: Session, filters: RunFilters, *, limit: int, before: int | None = None) -> list[ListedRun]:
    """Runs, newest first; `before` is the number of the last run of the page before."""
    query = _LISTED.where(*_conditions(filters)).order_by(Run.number.desc()).limit(limit)
    if before is not None:
        query = query.where(Run.number < before)
    return [ListedRun(*row) for row in session.execute(query)]


def run_listed(session: Session, name: str) -> ListedRun:
    """A run with its incident, by its name (`R-7`) or id. Raises `NotFound`."""
    run = run_by_name(session, name)
    return ListedRun(*session.execute(_LISTED.where(Run.id == run.id)).one())


_LISTED: Select[Run, int | None, Verification | None, Approval | None] = (
    select(Run, Incident.number, Verification, Approval)
    .outerjoin(Incident, Incident.id == Run.incident_id)
    .outerjoin(Verification, Verification.run_id == Run.id)
    .outerjoin(Approval, Approval.run_id == Run.id)
)


def _conditions(filters: RunFilters) -> list[ColumnElement[bool]]:
    names = ("status", "outcome", "target", "rule", "kind")
    found = [getattr(Run, name) == value for name in names if (value := getattr(filters, name))]
    if filters.incident:
        # With a subquery: few runs belong to an incident, and the index on the incident finds them.
        number = select(Incident.id).where(Incident.number == filters.incident).scalar_subquery()
        found.append(Run.incident_id == number)
    return found


def run_by_name(session: Session, name: str) -> Run:
    """A run by its name (`R-7`, `7`) or by its id. Raises `NotFound`."""
    number = name.upper().removeprefix("R-")
    query = select(Run)
    if number.isdecimal() and len(number) < 19:
        query = query.where(Run.number == int(number))
    else:
        try:
            query = query.where(Run.id == UUID(name))
        except ValueError:
            raise NotFound(f"There is no run {name!r}. Runs are named like R-7; see `ims run list`.") from None
    run = session.scalars(query).one_or_none()
    if run is None:
        raise NotFound(f"There is no run {name!r}. Runs are named like R-7; see `ims run list`.")
    return run


def active_runs(session: Session) -> Sequence[Run]:
    """Queued, running and verifying runs, oldest first."""
    return session.scalars(select(Run).where(Run.outcome.in_(ACTIVE)).order_by(Run.number)).all()


def count_active(session: Session) -> dict[str, int]:
    """How many runs are in each active state."""
    query = select(Run.outcome, func.count()).where(Run.outcome.in_(ACTIVE)).group_by(Run.outcome)
    found = dict(iter(session.execute(query)))
    return {outcome.value: found.get(outcome, 0) for outcome in ACTIVE}


def events_after(session: Session, run_id: UUID, counter: int = 0, limit: int = PAGE) -> Sequence[RunEvent]:
    """The events of a run that come after `counter`, in order."""
    query = (
        select(RunEvent)
        .where(RunEvent.run_id == run_id, RunEvent.counter > counter)
        .order_by(RunEvent.counter)
        .limit(limit)
    )
    return session.scalars(query).all()


def runs_of(session: Session, incident_ids: Iterable[UUID]) -> dict[UUID, list[Run]]:
    """Runs of these incidents in the order they were decided."""
    found: dict[UUID, list[Run]] = defaultdict(list)
    query = select(Run).where(Run.incident_id.in_(list(incident_ids))).order_by(Run.queued_at, Run.number)
    for run in session.scalars(query):
        if run.incident_id:
            found[run.incident_id].append(run)
    return found
