"""Reading decisions about healing."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Uuid, any_, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from ims.core.errors import NotFound
from ims.healing.guards.verdict import ALLOWED, UNDER_WAY
from ims.healing.models import Decision, DecisionOutcome
from ims.incidents.models import Incident
from ims.runs.models import Run

# These two are not denials: a run was started, or one is under way already.
_IS_DENIAL = Decision.reason.not_in((ALLOWED, UNDER_WAY))


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a run was denied for an incident: all decisions about it with the same rule and reason."""

    rule: str
    """Empty when no rule matched."""
    reason: str
    first_at: datetime
    last_at: datetime
    count: int


def denials_of(session: Session, incident_ids: Iterable[UUID]) -> dict[UUID, list[Denial]]:
    """The denials for these incidents, in the order in which they began."""
    found: dict[UUID, list[Denial]] = defaultdict(list)
    first = func.min(Decision.first_at).label("first")
    query = (
        select(
            Decision.incident_id, Decision.rule, Decision.reason, first, func.max(Decision.last_at),
            func.sum(Decision.count),
        )
        # One array parameter: a list of parameters would be a different statement for each length.
        .where(Decision.incident_id == any_(literal(list(incident_ids), ARRAY(Uuid))), _IS_DENIAL)
        .group_by(Decision.incident_id, Decision.rule, Decision.reason)
        .order_by(first)
    )  # fmt: skip
    for incident_id, rule, reason, first_at, last_at, count in session.execute(query):
        found[incident_id].append(Denial(rule, reason, first_at, last_at, int(count)))
    return found


def decisions_of(session: Session, incident_id: UUID, *, limit: int) -> Sequence[Decision]:
    """The latest decisions about an incident, newest first."""
    query = select(Decision).where(Decision.incident_id == incident_id).order_by(Decision.id.desc()).limit(limit)
    return session.scalars(query).all()


@dataclass(frozen=True, slots=True)
class DecisionFilters:
    """Filters of decisions; an empty one matches all."""

    incident: int = 0
    """Its number."""
    episode: int = 0
    rule: str = ""
    outcome: DecisionOutcome | None = None
    reason: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ListedDecision:
    """A decision with the numbers of its incident and of the run that it started."""

    decision: Decision
    incident: int
    run: int | None


_LISTED: Select[Decision, int, int | None] = (
    select(Decision, Incident.number, Run.number)
    .join(Incident, Incident.id == Decision.incident_id)
    .outerjoin(Run, Run.id == Decision.run_id)
)


def list_decisions(
    session: Session, filters: DecisionFilters, *, limit: int, before: int | None = None
) -> list[ListedDecision]:
    """Decisions, newest first; `before` is the number of the last decision of the previous page."""
    query = _LISTED.where(*_conditions(filters)).order_by(Decision.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Decision.id < before)
    return [ListedDecision(*row) for row in session.execute(query)]


def decision_listed(session: Session, number: int) -> ListedDecision:
    """A decision by its number, 12 for D-12. Raises `NotFound`."""
    row = session.execute(_LISTED.where(Decision.id == number)).one_or_none()
    if row is None:
        raise NotFound(f"There is no decision D-{number}.")
    return ListedDecision(*row)


def _conditions(filters: DecisionFilters) -> list[ColumnElement[bool]]:
    found = [
        getattr(Decision, name) == value for name in ("rule", "outcome", "reason") if (value := getattr(filters, name))
    ]
    if filters.episode:
        found.append(Decision.episode_id == filters.episode)
    if filters.incident:
        # A subquery, so that the index on the incident finds its few decisions.
        number = select(Incident.id).where(Incident.number == filters.incident).scalar_subquery()
        found.append(Decision.incident_id == number)
    if filters.since:
        found.append(Decision.first_at >= filters.since)
    if filters.until:
        found.append(Decision.first_at < filters.until)
    return found
