"""The state of a source."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from ims.core.wording import duration
from ims.sources.models import Source

REMEMBERED: Final = timedelta(days=1)
"""What was seen for the last time so long ago has been mended."""


class SourceState(StrEnum):
    """The state of a source."""

    OK = "ok"
    STALE = "stale"
    DISABLED = "disabled"


def warnings_of(source: Source, now: datetime) -> list[str]:
    """What is wrong with how a source sends, as sentences for its administrator; seen within a day."""
    found = []
    if source.truncated_alerts and _is_recent(source.truncated_at, now):
        alerts = "1 alert was" if source.truncated_alerts == 1 else f"{source.truncated_alerts} alerts were"
        found.append(f"{alerts} left out of a notification, and it has no Alertmanager to fetch them from")
    if source.clock_ahead and _is_recent(source.clock_ahead_at, now):
        found.append(f"Its clock is {duration(source.clock_ahead)} off")
    return found


def _is_recent(at: datetime | None, now: datetime) -> bool:
    return at is not None and at > now - REMEMBERED


def state_of(source: Source) -> SourceState:
    """A disabled source is never stale."""
    if source.disabled_at is not None:
        return SourceState.DISABLED
    return SourceState.STALE if source.stale_since is not None else SourceState.OK
