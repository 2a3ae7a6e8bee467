"""Add, change and remove sources."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ims.audit.log import differences, record
from ims.core.context import Origin
from ims.core.errors import Conflict, NotFound
from ims.sources.definition import OWN_SOURCE, SourceDefinition, check_definition
from ims.sources.models import Source

_DESCRIBED: Final = tuple(SourceDefinition.model_fields)


class SourceDiffers(Conflict):
    """A source of this name exists and is described differently: change it with `ims source set`."""


class SourceInUse(Conflict):
    """The source still has alerts, which are part of incidents: disable it; retention removes them in time."""


class OwnSource(Conflict):
    """This is the source of alerts that IMS raises itself: it can be neither changed nor removed."""


def add_source(session: Session, given: Mapping[str, Any], origin: Origin, now: datetime) -> bool:
    """Create a source; false if it is there already and is described the same.

    Raises `Invalid` for a description that makes no sense, and `SourceDiffers`.
    """
    definition = check_definition(given)
    described = definition.model_dump(mode="json")
    known = session.get(Source, definition.name, with_for_update=True)
    if known is None:
        session.add(Source(**described, created_at=now))
        session.flush()
        record(session, origin, "source.added", definition.name, now, after=described)
        return True
    if _description(known) != described:
        raise SourceDiffers
    return False


def change_source(session: Session, name: str, changes: Mapping[str, Any], origin: Origin, now: datetime) -> bool:
    """Change what `changes` names (`enabled` among it); false if nothing is different.

    Raises `NotFound`, `OwnSource` and `Invalid`.
    """
    source = locked_source(session, name)
    changes = dict(changes)
    present = {**_description(source), "enabled": source.disabled_at is None}
    enabled = changes.pop("enabled", present["enabled"])
    definition = check_definition({**_description(source), **changes}).model_dump(mode="json")
    before, after = differences(present, {**definition, "enabled": enabled})
    if not after:
        return False
    for field, value in definition.items():
        setattr(source, field, value)
    if "alertmanager_url" in after:
        # They speak of the one that was asked before.
        source.repair_problem, source.repair_held, source.repair_held_reason = None, 0, None
    if "enabled" in after:
        source.disabled_at = None if enabled else now
    record(session, origin, "source.changed", name, now, before=before, after=after)
    session.flush()
    return True


def remove_source(session: Session, name: str, origin: Origin, now: datetime) -> bool:
    """Remove a source with its tokens; false if there is none. Raises `SourceInUse` and `OwnSource`."""
    try:
        source = locked_source(session, name)
    except NotFound:
        return False
    record(session, origin, "source.removed", name, now, before=_description(source))
    try:
        # Whatever refers to it keeps it: alerts and dead letters of it, and whoever else comes to.
        with session.begin_nested():
            session.delete(source)
    except IntegrityError as error:
        raise SourceInUse from error
    return True


def locked_source(session: Session, name: str) -> Source:
    """A source that somebody else may not change meanwhile. Raises `NotFound` and `OwnSource`."""
    if name == OWN_SOURCE:
        raise OwnSource
    source = session.get(Source, name, with_for_update=True)
    if source is None:
        raise NotFound(f"There is no source {name}.")
    return source


def _description(source: Source) -> dict[str, Any]:
    return {field: getattr(source, field) for field in _DESCRIBED}
