"""What of an incident's change stands in the audit log: the fields that people see as the incident itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from ims.audit.log import differences, record
from ims.core.context import Origin
from ims.incidents.models import Incident

_SHOWN = ("status", "title", "description", "severity", "service", "environment", "team", "assignee")


@contextmanager
def audited(
    session: Session, incident: Incident, action: str, origin: Origin, now: datetime, *, note: str = ""
) -> Iterator[None]:
    """Write one entry about what is done to the incident inside; `note` is what was said with it.

    `action` is `incident.acknowledged`, `.started`, `.resolved`, `.edited`, `.assigned` or `.noted`, or `.changed`
    when it may be several of these at once. What changed nothing is no change.
    """
    # Another one's commit since it was read is not this one's doing.
    session.refresh(incident, with_for_update={"key_share": True})
    present = _shown(incident)
    yield
    session.refresh(incident)
    before, after = differences(present, _shown(incident))
    if note:
        after["note"] = note
    if after:
        record(session, origin, action, f"INC-{incident.number}", now, before=before, after=after)


def record_created(session: Session, incident: Incident, origin: Origin, now: datetime) -> None:
    """Write the entry of an incident that a person or a program opened."""
    record(session, origin, "incident.created", f"INC-{incident.number}", now, after=_shown(incident))


def _shown(incident: Incident) -> dict[str, Any]:
    return {name: getattr(incident, name) for name in _SHOWN}
