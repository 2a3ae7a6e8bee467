"""The state of a source."""

from enum import StrEnum

from ims.sources.models import Source


class SourceState(StrEnum):
    """The state of a source."""

    OK = "ok"
    STALE = "stale"
    DISABLED = "disabled"


def state_of(source: Source) -> SourceState:
    """A disabled source is never stale."""
    if source.disabled_at is not None:
        return SourceState.DISABLED
    return SourceState.STALE if source.stale_since is not None else SourceState.OK
