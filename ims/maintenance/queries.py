"""Read maintenance windows: those of the active policy and those added by command."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from ims.core.errors import NotFound
from ims.maintenance.models import StoredWindow, WindowOrigin
from ims.policy.queries import policy_in_force
from ims.policy.schema import Policy
from ims.policy.windows import Cover, MaintenanceWindow, Span


@dataclass(frozen=True, slots=True)
class KnownWindow:
    """A window, its origin, and when it was ended early."""

    window: MaintenanceWindow
    origin: WindowOrigin
    ended_at: datetime | None = None
    actor: str | None = None
    """Who added or ended it; None for a window of the inventory that was not ended early."""

    @property
    def name(self) -> str:
        """The window's name."""
        return self.window.name

    def span_at(self, now: datetime) -> Span | None:
        """The span that is open now, else the next one; None if there is no further one."""
        return self.window.span_at(now, ended_at=self.ended_at)


class NoSuchWindow(NotFound):
    """There is no such maintenance window."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no maintenance window {name}.")


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """A window that is open now."""

    window: MaintenanceWindow
    span: Span


def known_windows(session: Session, policy: Policy | None) -> list[KnownWindow]:
    """All windows, by name. Skips windows stored by another version of IMS that this version cannot parse."""
    rows = {(row.origin, row.name): row for row in session.scalars(select(StoredWindow))}
    found = []
    for window in policy.maintenance_windows if policy else ():
        row = rows.get((WindowOrigin.INVENTORY.value, window.name))
        found.append(_of_inventory(window, row))
    for row in rows.values():
        window_or_none = _parsed(json.dumps(row.definition)) if row.definition is not None else None
        if window_or_none is not None:
            found.append(KnownWindow(window_or_none, WindowOrigin.COMMAND, row.ended_at, row.actor))
    return sorted(found, key=lambda known: (known.name, known.origin))


def _of_inventory(window: MaintenanceWindow, row: StoredWindow | None) -> KnownWindow:
    if row is None:
        return KnownWindow(window, WindowOrigin.INVENTORY)
    return KnownWindow(window, WindowOrigin.INVENTORY, row.ended_at, row.actor)


def all_windows(session: Session) -> list[KnownWindow]:
    """All windows, with those of the active policy, by name."""
    return known_windows(session, policy_in_force(session))


def windows_named(session: Session, name: str) -> list[KnownWindow]:
    """The windows of this name: one, or one added by command and then one of the inventory. Raises `NoSuchWindow`."""
    found = [known for known in all_windows(session) if known.name == name]
    if not found:
        raise NoSuchWindow(name)
    return found


@lru_cache(maxsize=256)
def _parsed(definition: str) -> MaintenanceWindow | None:
    try:
        return MaintenanceWindow.model_validate_json(definition)
    except ValidationError:
        # Skipping the window causes needless notifications; a misread window could hide necessary ones.
        return None


def open_windows(session: Session, policy: Policy | None, now: datetime) -> list[OpenWindow]:
    """The windows that are open now."""
    found = []
    for known in known_windows(session, policy):
        span = known.span_at(now)
        if span is not None and span.holds(now):
            found.append(OpenWindow(known.window, span))
    return found


def cover_of(opened: Sequence[OpenWindow], policy: Policy | None, labels: Mapping[str, str]) -> Cover | None:
    """The cover of an alert with these labels: of several windows the one that ends last; None if none covers it."""
    if not opened:
        return None
    service = policy.service_for(labels) if policy else None
    names = (service.name, service.service) if service else ()
    groups = policy.groups_of(service) if policy and service else frozenset()
    covers = [
        Cover(one.window.name, one.span.ends, one.window.reason)
        for one in opened
        if one.window.covers(labels, names, groups)
    ]
    return max(covers, key=lambda cover: cover.until, default=None)
