"""Grafana's webhook: Alertmanager's format with `version` "1", plus links and values of its own.

Source: grafana.com/docs/grafana, "Webhook notifier". The keys `orgId`, `title`, `state` and `message` of the whole
notification are ignored: its alerts contain the same information.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from ims.alerts.notifications import VALUE_LENGTH, AlertNotification, Parsed, Rejected, clean, read_alert
from ims.alerts.parsers.alertmanager import Group, parse_notification

EXTRAS: Final = ("dashboardURL", "panelURL", "silenceURL", "imageURL", "valueString")
"""Keys of an alert that are stored as annotations."""


def parse(body: Any, source: str, now: datetime) -> Parsed:
    """Parse a body. Malformed alerts are rejected, the others accepted. Raises the errors of Alertmanager's parser."""
    return parse_notification(body, source, now, read_grafana)


def read_grafana(
    given: Any, source: str, now: datetime, place: int | None = None, group: Group = ()
) -> AlertNotification | Rejected:
    """Parse one alert; never raises for bad input. A link that is not text is ignored: the alert matters more."""
    read = read_alert(given, source, now, place, group)
    if isinstance(read, Rejected):
        return read
    extras = {key: given[key] for key in EXTRAS if isinstance(given.get(key), str) and given[key]}
    kept = {key: clean(value)[:VALUE_LENGTH] for key, value in extras.items()}
    return replace(read, annotations={**kept, **read.annotations})
