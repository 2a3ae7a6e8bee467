"""A list of alerts, read one by one: a malformed one is put aside, the others go on."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from ims.alerts.notifications import AlertNotification, Parsed, Rejected

Read = Callable[[Any, str, datetime, int | None], AlertNotification | Rejected]
"""Reads one alert: the alert, the source's name, now, its place in the list. Never raises for bad input."""


def read_each(
    alerts: Sequence[Any], read: Read, source: str, now: datetime, *, truncated: int = 0, receiver: str | None = None
) -> Parsed:
    """What the alerts of a body are. `truncated` is how many its sender left out."""
    found = [read(alert, source, now, place) for place, alert in enumerate(alerts)]
    return Parsed(
        notifications=tuple(one for one in found if isinstance(one, AlertNotification)),
        rejected=tuple(one for one in found if isinstance(one, Rejected)),
        truncated=truncated,
        receiver=receiver,
        places=tuple(place for place, one in enumerate(found) if isinstance(one, AlertNotification)),
    )
