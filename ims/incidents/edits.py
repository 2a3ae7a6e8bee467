"""Editing the fields of an incident, and resolving concurrent edits. Pure."""

from collections.abc import Mapping

from ims.core.errors import FieldError, Stale
from ims.incidents.inputs import Editable
from ims.incidents.models import Incident

EDITABLE = tuple(Editable.model_fields)

Changes = Mapping[str, Mapping[str, str]]
"""For each changed field its value before (`from`) and after (`to`), as stored in the timeline."""


class ChangedMeanwhile(Stale):
    """Somebody changed this incident while you were editing it."""


def editable(incident: Incident) -> Editable:
    """The editable fields with their present values, without validating them again."""
    return Editable.model_construct(
        title=incident.title,
        description=incident.description,
        severity=incident.severity,
        team=incident.team or "",
        assignee=incident.assignee or "",
    )


def changes_of(present: Editable, wanted: Editable, seen: Editable | None, *, is_current: bool) -> Changes:
    """The changes that an edit makes. `seen` are the fields as the person saw them; `is_current` says that the
    incident has not changed since.

    A new timeline event alone is not a conflict. A field that somebody else changed is one, unless the person left the
    field alone or entered the same value. Raises `ChangedMeanwhile` with those fields and their present values.
    """
    if not is_current:
        _require_unchanged(present, seen, wanted)
    base = seen or present
    return {
        name: {"from": getattr(present, name), "to": getattr(wanted, name)}
        for name in EDITABLE
        # A field that the person left alone keeps the value that somebody else gave it.
        if getattr(wanted, name) not in (getattr(base, name), getattr(present, name))
    }


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
