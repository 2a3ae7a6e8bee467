"""Parse a list of alerts one by one: malformed ones are rejected, the others are accepted."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from ims.alerts.notifications import AlertNotification, Ignored, Parsed, Rejected
from ims.core.errors import TooLarge

MOST_ALERTS = 100_000
"""In one body. A group of a large Alertmanager can hold 10,000; 32 MB of empty values could be 16 million."""

Read = Callable[[Any, str, datetime, int | None], AlertNotification | Rejected | Ignored]
"""Parses one alert: takes the alert, the source's name, now, its index in the list. Never raises for bad input."""


def parse_list(alerts: Sequence[Any], read: Read, source: str, now: datetime) -> Parsed:
    """Parse a list of alerts. Raises `TooLarge`."""
    if len(alerts) > MOST_ALERTS:
        raise TooLarge(f"A body may have at most {MOST_ALERTS} alerts: send fewer at once.")
    return read_each(alerts, read, source, now)


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
