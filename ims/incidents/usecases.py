"""Actions of people and API clients on incidents.

Each use case takes a `Context` and an incident's name (INC-42, 42, or its id), checks that the principal may act on it,
makes the change through `transitions`, and writes timeline and audit log in the same transaction; metrics are counted
after the commit. A step that the incident's status does not allow raises an error that names the allowed ones.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from ims.accounts.models import UserAccount
from ims.audit.log import differences, record
from ims.core.context import Context
from ims.core.db.direct import through
from ims.core.errors import Conflict, FieldError, Unprocessable
from ims.core.principal import Role
from ims.incidents import transitions
from ims.incidents.edits import ChangedMeanwhile, Changes, changes_of, editable
from ims.incidents.idempotency import claim_key
from ims.incidents.inputs import Editable, NewIncident
from ims.incidents.metrics import count_resolved
from ims.incidents.models import EventKind, Incident, Status
from ims.incidents.permissions import require_may_act_on
from ims.incidents.queries import find_incident
from ims.incidents.transitions import COMES_FROM, NewEvent, append
from ims.policy.schema import DEFAULT_ENVIRONMENT
from ims.services.queries import known_teams, read_catalogue

_AUDITED: Final = ("status", "title", "description", "severity", "service", "environment", "team", "assignee")
"""The fields whose changes are audited."""


class StepNotAllowed(Conflict):
    """The incident's status does not allow this step."""

    def __init__(self, status: str, to: Status) -> None:
        allowed = [step.value for step in allowed_steps(status)]
        choices = " or ".join(step.replace("_", " ") for step in allowed) or "none, resolved is final"
        now, wanted = status.replace("_", " "), to.replace("_", " ")
        super().__init__(f"The incident is {now} and cannot become {wanted}. Allowed next statuses: {choices}.")
        self.members = {"incident_status": status, "allowed": allowed}


@dataclass(frozen=True, slots=True)
class Opened:
    """The incident of a request; `is_new` is false when an earlier equal request had opened it."""

    incident: Incident
    is_new: bool


def allowed_steps(status: str) -> list[Status]:
    """The statuses an incident can go to from `status`."""
    return [to for to, origins in COMES_FROM.items() if status in origins]


def open_incident(
    context: Context, new: NewIncident, *, incident_id: UUID | None = None, idempotency_key: str | None = None
) -> Opened:
    """Open an incident by hand, once for an id (of a form) or an idempotency key (of an API client).

    Environment and team default to those of the service, and the runbook is the service's. Raises `Unprocessable` when
    the assignee has no account or the team is unknown, and `KeyUsedDifferently`.
    """
    context.require(Role.RESPONDER)
    session, own_id = context.session, incident_id or uuid4()
    if idempotency_key:
        known = claim_key(session, context.principal.account, idempotency_key, new, own_id, context.now)
        if known is not None:
            return Opened(find_incident(session, str(known)), is_new=False)
    if session.scalar(select(Incident.id).where(Incident.id == own_id)):
        return Opened(find_incident(session, str(own_id)), is_new=False)
    _require_known(session, assignee=new.assignee, team=new.team)
    transitions.open_incidents(through(session), [_row(session, new, own_id)], context.now)
    event = NewEvent(own_id, EventKind.INCIDENT_OPENED, context.actor, {"title": new.title, "severity": new.severity})
    append(session, [event], context.now)
    incident = find_incident(session, str(own_id))
    _audit(context, incident, "created", after=_audited(incident))
    return Opened(incident, is_new=True)


def acknowledge(context: Context, reference: str) -> Incident:
    """Acknowledge the incident. Raises `StepNotAllowed`, `NotYourIncident` and `NotFound`."""
    with _to_change(context, reference, "acknowledged") as incident:
        _step(context, incident, Status.ACKNOWLEDGED)
    return incident


def start_progress(context: Context, reference: str) -> Incident:
    """Mark the incident as being worked on. Raises `StepNotAllowed`, `NotYourIncident` and `NotFound`."""
    with _to_change(context, reference, "started") as incident:
        _step(context, incident, Status.IN_PROGRESS)
    return incident


def resolve(context: Context, reference: str, note: str = "") -> Incident:
    """Resolve the incident, with an optional note. Raises the same errors as `acknowledge`."""
    with _to_change(context, reference, "resolved", note) as incident:
        _step(context, incident, Status.RESOLVED, note)
    return incident


def add_note(context: Context, reference: str, text: str) -> Incident:
    """Write a note into the timeline, in any status. Raises `NotYourIncident` and `NotFound`."""
    with _to_change(context, reference, "noted", text) as incident:
        transitions.touch(context.session, incident.id, actor=context.actor, now=context.now)
        append(context.session, [NewEvent(incident.id, EventKind.NOTE, context.actor, {"text": text})], context.now)
    return incident


def assign(context: Context, reference: str, assignee: str) -> Incident:
    """Assign the incident; an empty assignee unassigns it. Raises `Unprocessable` for an unknown account."""
    with _to_change(context, reference, "assigned") as incident:
        wanted = editable(incident).model_copy(update={"assignee": assignee})
        _edit(context, incident, changes_of(editable(incident), wanted, None, is_current=True))
    return incident


def edit(
    context: Context, reference: str, wanted: Editable, *, version: int | None = None, seen: Editable | None = None
) -> Incident:
    """Change the editable fields. `version` is the one that the person saw; None means the present one.

    If the incident has changed since, it is compared with `seen`, the fields as the person saw them. Raises
    `ChangedMeanwhile` with the fields that somebody else changed, `Unprocessable` for an unknown assignee or team,
    `NotYourIncident` and `NotFound`.
    """
    with _to_change(context, reference, "edited") as incident:
        is_current = version is None or incident.version == version
        _edit(context, incident, changes_of(editable(incident), wanted, seen, is_current=is_current))
    return incident


def change(
    context: Context,
    reference: str,
    fields: Mapping[str, str],
    *,
    status: Status | None = None,
    note: str = "",
    version: int | None = None,
) -> Incident:
    """Change several things at once, all or none: fields, then the note, then the step.

    Each is written to timeline and audit log as if done by itself. Raises `ChangedMeanwhile` if `version` is given and
    is not the present one, and the errors of the single actions.
    """
    incident = _locked(context, reference)
    if version is not None and version != incident.version:
        raise ChangedMeanwhile
    name = f"INC-{incident.number}"
    if fields and set(fields) == {"assignee"}:
        assign(context, name, fields["assignee"])
    elif fields:
        edit(context, name, editable(incident).model_copy(update=dict(fields)))
    if note and status is not Status.RESOLVED:
        add_note(context, name, note)
    match status:
        case Status.OPEN:
            raise StepNotAllowed(incident.status, status)
        case Status.ACKNOWLEDGED:
            acknowledge(context, name)
        case Status.IN_PROGRESS:
            start_progress(context, name)
        case Status.RESOLVED:
            resolve(context, name, note)
        case None:
            pass
    return incident


@contextmanager
def _to_change(context: Context, reference: str, done: str, note: str = "") -> Iterator[Incident]:
    """Lock an incident for a change, and audit the difference as one entry, `incident.<done>`.

    Without a difference nothing is audited. Raises `NotFound` and `NotYourIncident`.
    """
    incident = _locked(context, reference)
    present = _audited(incident)
    yield incident
    context.session.refresh(incident)
    before, after = differences(present, _audited(incident))
    if note:
        after["note"] = note
    if after:
        _audit(context, incident, done, before=before, after=after)


def _locked(context: Context, reference: str) -> Incident:
    context.require(Role.RESPONDER)
    incident = transitions.lock(context.session, find_incident(context.session, reference))
    require_may_act_on(context.principal, incident)
    return incident


def _step(context: Context, incident: Incident, to: Status, note: str = "") -> None:
    if not transitions.step(context.session, incident.id, to, actor=context.actor, now=context.now):
        raise StepNotAllowed(incident.status, to)
    kind = {Status.ACKNOWLEDGED: EventKind.ACKNOWLEDGED, Status.IN_PROGRESS: EventKind.IN_PROGRESS}.get(
        to, EventKind.RESOLVED
    )
    append(context.session, [NewEvent(incident.id, kind, context.actor, {"note": note} if note else {})], context.now)
    if to is Status.RESOLVED:
        seconds = (context.now - incident.opened_at).total_seconds()
        context.after_commit(lambda: count_resolved([seconds]))


def _edit(context: Context, incident: Incident, changes: Changes) -> None:
    if not changes:
        return
    given = {name: changes[name]["to"] for name in ("assignee", "team") if name in changes}
    _require_known(context.session, **given)
    values: dict[str, object] = {
        name: change["to"] if name == "description" else change["to"] or None for name, change in changes.items()
    }
    if not changes.keys().isdisjoint(("title", "description")):
        values["titled_by_person"] = True
    transitions.touch(context.session, incident.id, actor=context.actor, now=context.now, values=values)
    append(context.session, [NewEvent(incident.id, EventKind.EDITED, context.actor, {"changes": changes})], context.now)


def _row(session: Session, new: NewIncident, incident_id: UUID) -> dict[str, Any]:
    service = read_catalogue(session).find(new.service)
    return {
        "id": str(incident_id),
        "title": new.title,
        "description": new.description,
        "severity": new.severity,
        "service": new.service or None,
        "environment": new.environment or (service.service_environment if service else None) or DEFAULT_ENVIRONMENT,
        "team": new.team or (service.team if service else None),
        "assignee": new.assignee or None,
        "runbook_url": service.runbook if service else None,
        "labels": {},
    }


def _require_known(session: Session, *, assignee: str = "", team: str = "") -> None:
    """Assignee and team must exist: after a typo only administrators could act on the incident."""
    wrong = []
    account = select(UserAccount.id).where(UserAccount.name == assignee, UserAccount.disabled_at.is_(None))
    if assignee and session.scalar(account) is None:
        wrong.append(FieldError("assignee", "has no enabled account: choose one of the suggested names"))
    if team and team not in known_teams(session):
        wrong.append(FieldError("team", "is unknown here and in the policy: an administrator can add it"))
    if wrong:
        raise Unprocessable(fields=wrong)


def _audit(context: Context, incident: Incident, done: str, **values: dict[str, Any]) -> None:
    record(context, f"incident.{done}", f"INC-{incident.number}", **values)


def _audited(incident: Incident) -> dict[str, Any]:
    return {name: getattr(incident, name) for name in _AUDITED}
