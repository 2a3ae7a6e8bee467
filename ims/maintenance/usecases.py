"""Maintenance windows: the marks of incidents, and adding, ending and removing windows.

An incident is marked while windows cover all its firing alerts. Decisions update the marks of the incidents that they
are about; `follow_windows` updates all others: it marks incidents when a window opens, and when a window ends, is ended
early or edited, it clears their marks and requests new decisions about their alerts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ims.alerts.models import Alert, Episode
from ims.audit.log import record
from ims.core.actors import SYSTEM
from ims.core.context import Context
from ims.core.errors import Conflict, FieldError, Invalid
from ims.core.principal import Role
from ims.core.queue import Job, defer
from ims.incidents.models import EventKind, Incident, Status
from ims.incidents.transitions import NewEvent, append, begin_maintenance, end_maintenance
from ims.maintenance.models import StoredWindow, WindowOrigin
from ims.maintenance.queries import OpenWindow, cover_of, known_windows, open_windows, windows_named
from ims.policy.queries import policy_in_force
from ims.policy.schema import Policy
from ims.policy.windows import Cover, MaintenanceWindow

DECIDED_AT_ONCE = 500
"""Episodes in one decide job."""
MARKED_AT_ONCE = 1000
"""Incidents whose marks one step changes: their alerts wait for the step."""


AnyRow = Row[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Followed:
    """The result of `follow_windows`."""

    open_windows: int
    began: int
    """Incidents that were marked."""
    ended: int
    """Incidents whose mark was cleared."""

    @property
    def is_step(self) -> bool:
        """Whether this was one step and more may be left to do."""
        return MARKED_AT_ONCE in (self.began, self.ended)


def cover_episodes(
    session: Session, policy: Policy | None, episodes: Sequence[AnyRow], now: datetime
) -> dict[int, Cover]:
    """The cover of each of these episodes, by id. Marks their incidents accordingly, which the caller has locked.

    Each row has the `id` of an open episode, its `incident_id`, the `labels` of its alert, and `maintenance`, the mark
    of its incident.
    """
    opened = open_windows(session, policy, now)
    covers = {row.id: cover for row in episodes if (cover := cover_of(opened, policy, row.labels))}
    bare = {row.incident_id for row in episodes if row.id not in covers}
    _end(session, {row.incident_id: row.maintenance for row in episodes if row.incident_id in bare}, now)
    fresh = {row.incident_id for row in episodes if row.maintenance is None} - bare
    if fresh:
        # An incident is marked only if its other firing alerts are covered, too.
        others = _firing(session, Incident.id.in_(fresh))
        _begin(session, _covers_of_all(others, opened, policy), now)
    return covers


def follow_windows(session: Session, now: datetime) -> Followed:
    """Mark incidents that open windows cover; unmark those no longer covered, and request decisions as for new alerts.

    Any number of workers may call it at any time: it leaves incidents that another transaction has locked, and those
    beyond `MARKED_AT_ONCE`, to the next call.
    """
    policy = policy_in_force(session)
    opened = open_windows(session, policy, now)
    marked = _firing(session, Incident.maintenance.is_not(None))
    ended = _end_all(session, marked, opened, policy, now)
    began = 0
    if opened:
        firing = _firing(session, Incident.maintenance.is_(None), Episode.id.is_not(None))
        covers = _covers_of_all(firing, opened, policy)
        began = _begin(session, {id_: covers[id_] for id_ in _lock(session, covers)}, now)
    return Followed(len(opened), began, ended)


def _end_all(
    session: Session, marked: Sequence[AnyRow], opened: Sequence[OpenWindow], policy: Policy | None, now: datetime
) -> int:
    names = {one.window.name for one in opened}
    over: dict[UUID, list[int]] = {}
    for row in marked:
        # An incident without a firing alert stays marked while the window that marked it is open.
        is_covered = row.maintenance in names if row.id is None else cover_of(opened, policy, row.labels)
        if not is_covered:
            over[row.incident_id] = []
    for row in marked:
        if row.incident_id in over and row.id is not None:
            over[row.incident_id].append(row.id)
    marks = {row.incident_id: row.maintenance for row in marked}
    locked = _lock(session, over)
    ended = _end(session, {id_: marks[id_] for id_ in locked}, now)
    again = sorted(id_ for incident in ended for id_ in over[incident])
    for start in range(0, len(again), DECIDED_AT_ONCE):
        defer(session, Job.DECIDE, episode_ids=again[start : start + DECIDED_AT_ONCE])
    return len(ended)


def _firing(session: Session, *which: Any) -> Sequence[AnyRow]:
    """The open episodes of unresolved incidents; an incident without one has a row without an episode."""
    is_open = (Episode.incident_id == Incident.id) & Episode.closed_at.is_(None)
    query = (
        select(Episode.id, Incident.id.label("incident_id"), Incident.maintenance, Alert.labels)
        .select_from(Incident)
        .outerjoin(Episode, is_open)
        .outerjoin(Alert, Alert.id == Episode.alert_id)
        .where(Incident.status != Status.RESOLVED, *which)
    )
    return session.execute(query).all()


def _covers_of_all(firing: Iterable[AnyRow], opened: Sequence[OpenWindow], policy: Policy | None) -> dict[UUID, Cover]:
    """The incidents whose open episodes are all covered, each with the cover that ends last."""
    found: dict[UUID, Cover | None] = {}
    for row in firing:
        cover = cover_of(opened, policy, row.labels or {})
        known = found.get(row.incident_id, cover)
        found[row.incident_id] = max(known, cover, key=lambda one: one.until) if known and cover else None
    return {id_: cover for id_, cover in found.items() if cover}


def _lock(session: Session, incident_ids: Iterable[UUID]) -> list[UUID]:
    """Lock the unresolved incidents, except locked ones, in the same order as writing to timelines does."""
    query = (
        select(Incident.id)
        .where(Incident.id.in_(list(incident_ids)), Incident.status != Status.RESOLVED)
        .order_by(Incident.id)
        .limit(MARKED_AT_ONCE)
        .with_for_update(key_share=True, skip_locked=True)
    )
    return list(session.scalars(query))


def _begin(session: Session, covers: Mapping[UUID, Cover], now: datetime) -> int:
    """Mark these incidents unless they are marked already; returns how many were marked."""
    marked = begin_maintenance(session, {id_: cover.window for id_, cover in covers.items()})
    append(session, [_began_event(id_, covers[id_]) for id_ in marked], now)
    return len(marked)


def _began_event(incident_id: UUID, cover: Cover) -> NewEvent:
    data = {"window": cover.window, "until": cover.until.isoformat(), "reason": cover.reason}
    return NewEvent(incident_id, EventKind.MAINTENANCE_BEGAN, SYSTEM, data)


def _end(session: Session, marks: Mapping[UUID, str | None], now: datetime) -> list[UUID]:
    """Clear these marks; returns the incidents whose mark was cleared."""
    cleared = end_maintenance(session, [incident_id for incident_id, mark in marks.items() if mark is not None])
    events = [NewEvent(id_, EventKind.MAINTENANCE_ENDED, SYSTEM, {"window": marks[id_]}) for id_ in cleared]
    append(session, events, now)
    return cleared


def add_window(context: Context, window: MaintenanceWindow) -> None:
    """Store a window. Raises `Conflict` if the name is taken, `Invalid` if a service or group is not in the policy."""
    context.require(Role.RESPONDER)
    session, policy = context.session, policy_in_force(context.session)
    _check_names(window, policy)
    taken = Conflict(f"There is already a maintenance window {window.name}.")
    if any(known.name == window.name for known in known_windows(session, policy)):
        raise taken
    definition = window.model_dump(mode="json")
    row: dict[str, Any] = {"origin": WindowOrigin.COMMAND, "name": window.name, "definition": definition}
    row |= {"actor": context.who, "changed_at": context.now}
    stored = session.execute(insert(StoredWindow).values(row).on_conflict_do_nothing().returning(StoredWindow.name))
    if stored.one_or_none() is None:
        raise taken
    record(context, "maintenance.added", window.name, after=definition)
    follow_windows(session, context.now)


def _check_names(window: MaintenanceWindow, policy: Policy) -> None:
    known = {name for service in policy.services.values() for name in (service.name, service.service)}
    faults = [FieldError("services", f"There is no service {name}.") for name in window.services if name not in known]
    faults += [
        FieldError("groups", f"There is no group {name}.") for name in window.groups if name not in policy.groups
    ]
    if faults:
        raise Invalid("The window names services or groups that are not in the active policy.", fields=faults)


def end_window(context: Context, name: str) -> None:
    """End the open occurrence of a window now; a recurring window opens again at its next time.

    Raises `NoSuchWindow`, and `Conflict` if it is not open.
    """
    context.require(Role.RESPONDER)
    session, now = context.session, context.now
    ended = [known for known in windows_named(session, name) if (span := known.span_at(now)) and span.holds(now)]
    if not ended:
        raise Conflict(f"Maintenance window {name} is not open now.")
    for known in ended:
        values: dict[str, Any] = {"ended_at": now, "actor": context.who, "changed_at": now}
        row = {"origin": known.origin, "name": name, **values}
        if known.origin is WindowOrigin.COMMAND:
            row["definition"] = known.window.model_dump(mode="json")
        statement = insert(StoredWindow).values(row)
        session.execute(statement.on_conflict_do_update(index_elements=["origin", "name"], set_=values))
    record(context, "maintenance.ended", name, after={"ended_at": now.isoformat()})
    follow_windows(session, now)


def remove_window(context: Context, name: str) -> None:
    """Remove a window that was added by command. Raises `NoSuchWindow`, `Conflict` for one of the inventory."""
    context.require(Role.RESPONDER)
    gone = context.session.execute(
        delete(StoredWindow)
        .where(StoredWindow.origin == WindowOrigin.COMMAND, StoredWindow.name == name)
        .returning(StoredWindow.definition)
    )
    if (removed := gone.one_or_none()) is None:
        windows_named(context.session, name)
        raise Conflict(f"Maintenance window {name} is in the inventory: remove it there, or end it.")
    record(context, "maintenance.removed", name, before=removed.definition)
    follow_windows(context.session, context.now)
