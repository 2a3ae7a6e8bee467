"""What an entry of the audit log says about its object, field by field, for people."""

import json
from dataclasses import dataclass
from typing import Any

from ims.audit.models import AuditEntry


@dataclass(frozen=True, slots=True)
class Change:
    """One field: what it was and what it is, in words; None where there was or is nothing."""

    name: str
    before: str | None
    after: str | None


def changes_of(entry: AuditEntry) -> list[Change]:
    """The fields of an entry in the order they were written."""
    before, after = entry.before or {}, entry.after or {}
    return [Change(name, _words(before.get(name)), _words(after.get(name))) for name in {**before, **after}]


def _words(value: Any) -> str | None:
    if value in (None, "", [], {}):
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
