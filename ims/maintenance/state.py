"""Where a maintenance window is."""

from datetime import datetime
from enum import StrEnum

from ims.policy.windows import Span


class WindowState(StrEnum):
    """Where a window is."""

    OPEN = "open"
    PLANNED = "planned"
    OVER = "over"


def state_of(span: Span | None, now: datetime) -> WindowState:
    """Where a window is whose open or next time is `span`."""
    if span is None:
        return WindowState.OVER
    return WindowState.OPEN if span.holds(now) else WindowState.PLANNED
