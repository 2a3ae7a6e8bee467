"""Add, change and remove sources, and create their tokens: for administrators."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ims.accounts.models import ApiToken
from ims.accounts.tokens.usecases import ALERTS_WRITE, NewToken, describe_token, store_token
from ims.audit.log import differences, record
from ims.core.context import Context
from ims.core.errors import Conflict, FieldError, Invalid
from ims.core.principal import Role
from ims.policy.queries import policy_in_force
from ims.policy.ready_formats import READY_FORMATS
from ims.sources.definition import OWN_SOURCE, SourceDefinition, check_definition
from ims.sources.models import Source
from ims.sources.queries import source_named

_DESCRIBED: Final = tuple(SourceDefinition.model_fields)


class SourceDiffers(Conflict):
    """A source of this name exists with another definition: change it with `ims source set`."""


class SourceInUse(Conflict):
    """The source still has alerts, which belong to incidents: disable it; retention removes the alerts in time."""


class OwnSource(Conflict):
    """This is the source of alerts that IMS raises itself: it cannot be changed or removed."""


def add_source(context: Context, given: Mapping[str, Any]) -> bool:
    """Create a source; false if it exists already with the same definition.

    Raises `Invalid` for an invalid definition, and `SourceDiffers`.
    """
    context.require(Role.ADMIN)
    definition = check_definition(given)
    _require_format(context.session, definition.format)
    described = definition.model_dump(mode="json")
    known = context.session.get(Source, definition.name, with_for_update=True)
    if known is None:
        context.session.add(Source(**described, created_at=context.now))
        context.session.flush()
        record(context, "source.added", definition.name, after=described)
        return True
    if _description(known) != described:
        raise SourceDiffers
    return False


def change_source(context: Context, name: str, changes: Mapping[str, Any]) -> bool:
    """Change the fields in `changes`, which may include `enabled`; false if nothing is different.

    Raises `NotFound`, `OwnSource` and `Invalid`.
    """
    context.require(Role.ADMIN)
    source = _locked(context.session, name)
    changes = dict(changes)
    present = {**_description(source), "enabled": source.disabled_at is None}
    enabled = changes.pop("enabled", present["enabled"])
    definition = check_definition({**_description(source), **changes}).model_dump(mode="json")
    before, after = differences(present, {**definition, "enabled": enabled})
    if not after:
        return False
    if "format" in after:
        _require_format(context.session, after["format"])
    for field, value in definition.items():
        setattr(source, field, value)
    if "alertmanager_url" in after:
        # These columns describe the previous Alertmanager.
        source.reconciliation_problem, source.reconciliation_withheld, source.reconciliation_withheld_reason = (
            None,
            0,
            None,
        )
        source.truncated_alerts = source.truncated_at = None
    if "enabled" in after:
        source.disabled_at = None if enabled else context.now
    record(context, "source.changed", name, before=before, after=after)
    context.session.flush()
    return True


def remove_source(context: Context, name: str) -> None:
    """Remove a source with its tokens. Raises `NotFound`, `SourceInUse` and `OwnSource`."""
    context.require(Role.ADMIN)
    source = _locked(context.session, name)
    record(context, "source.removed", name, before=_description(source))
    try:
        # The foreign keys of its alerts, dead letters and any later tables prevent the removal.
        with context.session.begin_nested():
            context.session.delete(source)
    except IntegrityError as error:
        raise SourceInUse from error


def create_source_token(context: Context, source: str, label: str, *, lifetime: timedelta | None = None) -> NewToken:
    """Create a token with which a source may send alerts; without a lifetime it is valid until it is revoked.

    Raises `NotFound`, `Conflict` for the source of IMS itself, and `Invalid`.
    """
    context.require(Role.ADMIN)
    if source == OWN_SOURCE:
        raise Conflict(f"{OWN_SOURCE!r} is the source of alerts that IMS raises itself: it cannot have tokens.")
    name = source_named(context.session, source).name
    token = ApiToken(label=label, source=name, scopes=[ALERTS_WRITE], lifetime=lifetime)
    new = store_token(context, token)
    record(context, "token.created", new.name, after={"source": name, **describe_token(token)})
    return new


def _require_format(session: Session, name: str | None) -> None:
    """Raises `Invalid` for a format that is neither ready nor in the active policy."""
    if name is None or name in READY_FORMATS:
        return
    own = [one.name for one in policy_in_force(session).alert_formats]
    if name not in own:
        known = ", ".join([*READY_FORMATS, *own])
        raise Invalid("The source's description is wrong.", fields=[FieldError("format", f"must be one of {known}")])


def _locked(session: Session, name: str) -> Source:
    if name == OWN_SOURCE:
        raise OwnSource
    return source_named(session, name, for_update=True)


def _description(source: Source) -> dict[str, Any]:
    return {field: getattr(source, field) for field in _DESCRIBED}
