"""The state of a maintenance window."""

from datetime import datetime
from enum import StrEnum

from ims.policy.windows import Span


class WindowState(StrEnum):
    """The state of a maintenance window."""

    OPEN = "open"
    PLANNED = "planned"
    OVER = "over"


def state_of(span: Span | None, now: datetime) -> WindowState:
    """The state of a window whose current or next span is `span`."""
    if span is None:
        return WindowState.OVER
    return WindowState.OPEN if span.holds(now) else WindowState.PLANNED
