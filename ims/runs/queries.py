"""What is read about runs."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ims.errors import NotFound
from ims.policy.models import PolicySnapshot
from ims.policy.queries import active_policy
from ims.policy.schema import Policy
from ims.runs.models import ACTIVE, Run, RunEvent, RunStatus

PAGE = 500
"""Events that are read at once."""


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


def run_by_name(session: Session, name: str) -> Run:
    """A run by what people call it (`R-7`, `7`) or by its id. Raises `NotFound`."""
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


def recent_runs(
    session: Session,
    *,
    incident_id: UUID | None = None,
    target: str | None = None,
    status: RunStatus | None = None,
    limit: int = 50,
) -> Sequence[Run]:
    """Runs, newest first."""
    query = select(Run).order_by(Run.number.desc()).limit(limit)
    if incident_id is not None:
        query = query.where(Run.incident_id == incident_id)
    if target is not None:
        query = query.where(Run.target == target)
    if status is not None:
        query = query.where(Run.status == status)
    return session.scalars(query).all()


def active_runs(session: Session) -> Sequence[Run]:
    """Queued, running and verifying runs, oldest first."""
    return session.scalars(select(Run).where(Run.status.in_(ACTIVE)).order_by(Run.number)).all()


def count_active(session: Session) -> dict[str, int]:
    """How many runs are in each active state."""
    query = select(Run.status, func.count()).where(Run.status.in_(ACTIVE)).group_by(Run.status)
    found = dict(iter(session.execute(query)))
    return {status.value: found.get(status, 0) for status in ACTIVE}


def events_after(session: Session, run_id: UUID, counter: int = 0, limit: int = PAGE) -> Sequence[RunEvent]:
    """The events of a run that come after `counter`, in order."""
    query = (
        select(RunEvent)
        .where(RunEvent.run_id == run_id, RunEvent.counter > counter)
        .order_by(RunEvent.counter)
        .limit(limit)
    )
    return session.scalars(query).all()
