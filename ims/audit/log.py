"""Writing the audit log, in the transaction of the change: neither exists without the other."""

from collections.abc import Mapping
from typing import Any

from ims.audit.models import AuditEntry
from ims.core.context import Context


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields in which two descriptions of an object differ, before and after the change, for `record`."""
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {name: before.get(name) for name in changed}, {name: after.get(name) for name in changed}


def record(
    context: Context,
    action: str,
    name: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write one entry: `action` is object and verb (`user.disabled`), `name` names the object.

    `before` and `after` must not contain secrets.
    """
    context.session.add(
        AuditEntry(
            at=context.now,
            actor_kind=context.actor.kind.value,
            actor=context.actor.name,
            address=context.origin.address,
            request_id=context.origin.request_id,
            action=action,
            object_kind=action.partition(".")[0],
            object=name,
            before=dict(before) if before is not None else None,
            after=dict(after) if after is not None else None,
        )
    )
