"""Parse a list of alerts one by one: malformed ones are rejected, the others are accepted."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from ims.alerts.notifications import AlertNotification, Ignored, Parsed, Rejected

Read = Callable[[Any, str, datetime, int | None], AlertNotification | Rejected | Ignored]
"""Parses one alert: takes the alert, the source's name, now, its index in the list. Never raises for bad input."""


def read_each(
    alerts: Sequence[Any], read: Read, source: str, now: datetime, *, truncated: int = 0, receiver: str | None = None
) -> Parsed:
    """Parse the alerts of a body. `truncated` is how many its sender left out."""
    found = [read(alert, source, now, place) for place, alert in enumerate(alerts)]
    return Parsed(
        notifications=tuple(one for one in found if isinstance(one, AlertNotification)),
        rejected=tuple(one for one in found if isinstance(one, Rejected)),
        ignored=tuple(one for one in found if isinstance(one, Ignored)),
        truncated=truncated,
        receiver=receiver,
        places=tuple(place for place, one in enumerate(found) if isinstance(one, AlertNotification)),
    )
