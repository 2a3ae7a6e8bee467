"""Writing the audit log, in the transaction of the change it tells about: neither exists without the other."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from ims.audit.models import AuditEntry
from ims.core.context import Origin


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of two descriptions of one thing only what differs, for `record`: as it was, and as it is."""
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {name: before.get(name) for name in changed}, {name: after.get(name) for name in changed}


def record(
    session: Session,
    origin: Origin,
    action: str,
    name: str,
    now: datetime,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write one entry: `action` is object and verb (`user.disabled`), `name` says which. Values hold no secret."""
    session.add(
        AuditEntry(
            at=now,
            actor_kind=origin.actor.kind.value,
            actor=origin.actor.name,
            address=origin.address,
            request_id=origin.request_id,
            action=action,
            object_kind=action.partition(".")[0],
            object=name,
            before=dict(before) if before is not None else None,
            after=dict(after) if after is not None else None,
        )
    )
