"""The changes in an entry of the audit log, field by field, for people."""

import json
from dataclasses import dataclass
from typing import Any

from ims.audit.models import AuditEntry


@dataclass(frozen=True, slots=True)
class Change:
    """One field with its value before and after, as text; None for an empty value."""

    name: str
    before: str | None
    after: str | None


def changes_of(entry: AuditEntry) -> list[Change]:
    """The fields of an entry in the order they were written."""
    before, after = entry.before or {}, entry.after or {}
    return [Change(name, _as_text(before.get(name)), _as_text(after.get(name))) for name in {**before, **after}]


def _as_text(value: Any) -> str | None:
    if value in (None, "", [], {}):
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
