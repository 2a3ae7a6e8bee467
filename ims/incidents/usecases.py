"""What people do to incidents. The caller owns the transaction.

A change of state is a guarded update (only from the states it may come from) and its timeline event, together. Two
people who do the same at once see one success and one clear refusal.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import case, func, select, update
from sqlalchemy.orm import Session

from ims.accounts.models import UserAccount
from ims.core.actors import HUMAN, Actor
from ims.core.errors import Conflict, FieldError, NotFound, Stale, Unprocessable
from ims.incidents.inputs import Editable, NewIncident
from ims.incidents.models import EventKind, Incident, Status
from ims.incidents.timeline import NewEvent, append
from ims.policy.schema import DEFAULT_ENVIRONMENT, Service
from ims.services.queries import known_teams

COMES_FROM: dict[Status, tuple[Status, ...]] = {
    Status.ACKNOWLEDGED: (Status.OPEN,),
    Status.IN_PROGRESS: (Status.ACKNOWLEDGED,),
    Status.RESOLVED: (Status.OPEN, Status.ACKNOWLEDGED, Status.IN_PROGRESS),
}
"""The lifecycle: each status and those it can be reached from. Nothing leaves `resolved`."""

EDITABLE = tuple(Editable.model_fields)


def allowed_steps(status: str) -> list[Status]:
    """The statuses an incident can go to from `status`."""
    return [to for to, origins in COMES_FROM.items() if status in origins]


class StepNotAllowed(Conflict):
    """The incident's state does not allow this step."""

    def __init__(self, status: str, to: Status) -> None:
        allowed = [step.value for step in allowed_steps(status)]
        words = " or ".join(step.replace("_", " ") for step in allowed) or "nothing, it stays resolved"
        now, wanted = status.replace("_", " "), to.replace("_", " ")
        super().__init__(f"The incident is {now} and cannot become {wanted}. From here it can become: {words}.")
        self.members = {"incident_status": status, "allowed": allowed}


class ChangedMeanwhile(Stale):
    """Somebody changed this incident while you were editing it."""


def create_by_person(
    session: Session, new: NewIncident, *, actor: Actor, now: datetime, incident_id: UUID, service: Service | None
) -> bool:
    """Open an incident by hand; false if `incident_id` exists already, as when a form is sent twice.

    The service brings what nobody said: its environment, team and runbook. Raises `Unprocessable` when the assignee has
    no account or nobody knows the team.
    """
    if session.scalar(select(Incident.id).where(Incident.id == incident_id)):
        return False
    _require_known(session, assignee=new.assignee, team=new.team)
    session.add(
        Incident(
            id=incident_id,
            title=new.title,
            description=new.description,
            severity=new.severity,
            service=new.service or None,
            environment=new.environment or (service.service_environment if service else None) or DEFAULT_ENVIRONMENT,
            team=new.team or (service.team if service else None),
            assignee=new.assignee or None,
            runbook_url=service.runbook if service else None,
            labels={},
            opened_at=now,
            updated_at=now,
        )
    )
    event = NewEvent(incident_id, EventKind.INCIDENT_OPENED, actor, {"title": new.title, "severity": new.severity})
    append(session, [event], now)
    return True


def acknowledge(session: Session, incident_id: UUID, *, actor: Actor, now: datetime) -> None:
    """Say that somebody is looking. Raises `StepNotAllowed` and `NotFound`."""
    _move(session, incident_id, Status.ACKNOWLEDGED, EventKind.ACKNOWLEDGED, actor, now, acknowledged_at=now)


def start_progress(session: Session, incident_id: UUID, *, actor: Actor, now: datetime) -> None:
    """Say that somebody is working on it. Raises `StepNotAllowed` and `NotFound`."""
    _move(session, incident_id, Status.IN_PROGRESS, EventKind.IN_PROGRESS, actor, now, in_progress_at=now)


def resolve(session: Session, incident_id: UUID, *, actor: Actor, now: datetime, note: str = "") -> None:
    """Close the incident, with what was done if somebody says so. Raises `StepNotAllowed` and `NotFound`."""
    data = {"note": note} if note else {}
    _move(session, incident_id, Status.RESOLVED, EventKind.RESOLVED, actor, now, data, resolved_at=now)


_STEPS = {Status.ACKNOWLEDGED: acknowledge, Status.IN_PROGRESS: start_progress, Status.RESOLVED: resolve}


def add_note(session: Session, incident_id: UUID, text: str, *, actor: Actor, now: datetime) -> None:
    """Write a note into the timeline, in any state. Raises `NotFound`."""
    if not _touch(session, incident_id, actor, now):
        raise NotFound
    append(session, [NewEvent(incident_id, EventKind.NOTE, actor, {"text": text})], now)


def edit(
    session: Session,
    incident_id: UUID,
    wanted: Editable,
    *,
    actor: Actor,
    now: datetime,
    version: int,
    seen: Editable | None = None,
) -> list[str]:
    """Change what may be edited; returns the names of the fields that changed.

    `version` is the one the person saw. If the incident has moved on, `seen` (the fields as the person saw them)
    decides: a timeline that merely grew is no conflict, a field that somebody else changed is. Raises
    `ChangedMeanwhile` naming those fields with their present values, `Unprocessable` for an unknown assignee
    or team, and `NotFound`.
    """
    row = lock(session, incident_id)
    present = editable(row)
    if row.version != version:
        _require_unchanged(present, seen, wanted)
    base = seen or present
    changes = {
        name: {"from": getattr(present, name), "to": getattr(wanted, name)}
        for name in EDITABLE
        # A field the person left alone keeps the value somebody else gave it.
        if getattr(wanted, name) not in (getattr(base, name), getattr(present, name))
    }
    if not changes:
        return []
    given = {name: getattr(wanted, name) for name in ("assignee", "team") if name in changes}
    _require_known(session, **given)
    for name, change in changes.items():
        empty = "" if name == "description" else None
        setattr(row, name, change["to"] or empty)
    if actor.kind in HUMAN and row.first_human_at is None and row.status != Status.RESOLVED:
        row.first_human_at = now
    append(session, [NewEvent(incident_id, EventKind.EDITED, actor, {"changes": changes})], now)
    return list(changes)


def change(
    session: Session,
    incident: Incident,
    fields: Mapping[str, str],
    *,
    actor: Actor,
    now: datetime,
    status: Status | None = None,
    note: str = "",
) -> None:
    """Change several things of a locked incident at once, all or none: fields, then the note, then the step.

    Raises `Unprocessable` for an unknown assignee or team, and `StepNotAllowed`.
    """
    if fields:
        wanted = editable(incident).model_copy(update=dict(fields))
        edit(session, incident.id, wanted, actor=actor, now=now, version=incident.version)
    if note:
        add_note(session, incident.id, note, actor=actor, now=now)
    if status is Status.OPEN:
        raise StepNotAllowed(incident.status, status)
    if status is not None:
        _STEPS[status](session, incident.id, actor=actor, now=now)


def lock(session: Session, incident_id: UUID) -> Incident:
    """The incident as it is now, kept from others until the end of the transaction. Raises `NotFound`."""
    query = select(Incident).where(Incident.id == incident_id).with_for_update()
    found = session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if found is None:
        raise NotFound("There is no such incident.")
    return found


def assign(session: Session, incident_id: UUID, assignee: str, *, actor: Actor, now: datetime) -> None:
    """Give the incident to somebody, or to nobody (empty).

    Raises `Unprocessable` for an unknown account, and `NotFound`.
    """
    before = session.execute(
        select(Incident.assignee).where(Incident.id == incident_id).with_for_update()
    ).one_or_none()
    if before is None:
        raise NotFound
    if (before.assignee or "") == assignee:
        return
    _require_known(session, assignee=assignee)
    _touch(session, incident_id, actor, now, assignee=assignee or None)
    changes = {"assignee": {"from": before.assignee or "", "to": assignee}}
    append(session, [NewEvent(incident_id, EventKind.EDITED, actor, {"changes": changes})], now)


def editable(incident: Incident) -> Editable:
    """The editable fields as they are, without checking them again."""
    return Editable.model_construct(
        title=incident.title,
        description=incident.description,
        severity=incident.severity,
        team=incident.team or "",
        assignee=incident.assignee or "",
    )


def _require_unchanged(present: Editable, seen: Editable | None, wanted: Editable) -> None:
    if seen is None:
        raise ChangedMeanwhile
    moved = [
        FieldError(name, f"is now “{getattr(present, name)}”")
        for name in EDITABLE
        if getattr(present, name) not in (getattr(seen, name), getattr(wanted, name))
        and getattr(wanted, name) != getattr(seen, name)
    ]
    if moved:
        raise ChangedMeanwhile(fields=moved)


def _require_known(session: Session, *, assignee: str = "", team: str = "") -> None:
    """Whom people give an incident to has to be there: a slip would keep everybody away but administrators."""
    wrong = []
    account = select(UserAccount.id).where(UserAccount.name == assignee, UserAccount.disabled_at.is_(None))
    if assignee and session.scalar(account) is None:
        wrong.append(FieldError("assignee", "has no account: choose one of the offered names"))
    if team and team not in known_teams(session):
        wrong.append(FieldError("team", "is neither a team of ours nor of a service: an administrator can add it"))
    if wrong:
        raise Unprocessable(fields=wrong)


def _move(
    session: Session,
    incident_id: UUID,
    to: Status,
    kind: EventKind,
    actor: Actor,
    now: datetime,
    data: dict[str, Any] | None = None,
    **times: datetime,
) -> None:
    """The guarded update of one step, and its event."""
    if not _touch(session, incident_id, actor, now, COMES_FROM[to], status=to, **times):
        status = session.scalar(select(Incident.status).where(Incident.id == incident_id))
        if status is None:
            raise NotFound
        raise StepNotAllowed(status, to)
    append(session, [NewEvent(incident_id, kind, actor, data or {})], now)


def _touch(
    session: Session,
    incident_id: UUID,
    actor: Actor,
    now: datetime,
    origins: Sequence[Status] = tuple(Status),
    **values: object,
) -> bool:
    """Update the incident if it is in one of `origins`.

    A person's first action is remembered for MTTA; what they do after its end is no acknowledgement.
    """
    values["updated_at"] = now
    if actor.kind in HUMAN:
        is_over = Incident.status == Status.RESOLVED
        values["first_human_at"] = func.coalesce(Incident.first_human_at, case((~is_over, now)))
    changed = session.execute(
        update(Incident)
        .where(Incident.id == incident_id, Incident.status.in_(origins))
        .values(**values)
        .returning(Incident.id)
        .execution_options(synchronize_session=False)
    )
    return changed.scalar_one_or_none() is not None
