"""What of an incident people may edit, and what two people who edit at once get. Pure."""

from collections.abc import Mapping

from ims.core.errors import FieldError, Stale
from ims.incidents.inputs import Editable
from ims.incidents.models import Incident

EDITABLE = tuple(Editable.model_fields)

Changes = Mapping[str, Mapping[str, str]]
"""Of each changed field its value before (`from`) and after (`to`), as the timeline tells it."""


class ChangedMeanwhile(Stale):
    """Somebody changed this incident while you were editing it."""


def editable(incident: Incident) -> Editable:
    """The editable fields as they are, without checking them again."""
    return Editable.model_construct(
        title=incident.title,
        description=incident.description,
        severity=incident.severity,
        team=incident.team or "",
        assignee=incident.assignee or "",
    )


def changes_of(present: Editable, wanted: Editable, seen: Editable | None, *, is_current: bool) -> Changes:
    """What an edit changes. `seen` are the fields as the person saw them, `is_current` says that nothing happened
    since.

    A timeline that merely grew is no conflict; a field that somebody else changed is, unless the person left it alone
    or wants the same. Raises `ChangedMeanwhile` naming those fields with their present values.
    """
    if not is_current:
        _require_unchanged(present, seen, wanted)
    base = seen or present
    return {
        name: {"from": getattr(present, name), "to": getattr(wanted, name)}
        for name in EDITABLE
        # A field the person left alone keeps the value somebody else gave it.
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
