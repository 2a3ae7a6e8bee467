"""Whether a source is heard."""

from enum import StrEnum

from ims.sources.models import Source


class SourceState(StrEnum):
    """How a source is."""

    OK = "ok"
    SILENT = "silent"
    DISABLED = "disabled"


def state_of(source: Source) -> SourceState:
    """How a source is."""
    if source.disabled_at is not None:
        return SourceState.DISABLED
    return SourceState.SILENT if source.silent_since is not None else SourceState.OK
