"""Whether a source is heard."""

from enum import StrEnum

from ims.sources.models import Source


class SourceState(StrEnum):
    """How a source is."""

    OK = "ok"
    STALE = "stale"
    DISABLED = "disabled"


def state_of(source: Source) -> SourceState:
    """How a source is."""
    if source.disabled_at is not None:
        return SourceState.DISABLED
    return SourceState.STALE if source.stale_since is not None else SourceState.OK
