"""Grafana's webhook: Alertmanager's format with `version` "1", plus links and values of its own.

Source: grafana.com/docs/grafana, "Webhook notifier". The keys `orgId`, `title`, `state` and `message` of the whole
notification are ignored: its alerts contain the same information.
"""

from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, Final

from ims.alerts.notifications import VALUE_LENGTH, AlertNotification, Parsed, Rejected, clean, read_alert
from ims.alerts.parsers.alertmanager import Group, parse_notification

EXTRAS: Final = ("dashboardURL", "panelURL", "silenceURL", "imageURL", "valueString")
"""Keys of an alert that are stored as annotations."""
MOST_VALUES: Final = 100


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
    if "valueString" not in extras and (values := _values(given.get("values"))):
        extras["valueString"] = values
    kept = {key: clean(value)[:VALUE_LENGTH] for key, value in extras.items()}
    return replace(read, annotations={**kept, **read.annotations})


def _values(given: Any) -> str:
    """The map `values`, by the names of its queries, as text: newer versions send it instead of `valueString`."""
    if not isinstance(given, dict):
        return ""
    numbers = [
        (name, value)
        for name, value in islice(given.items(), MOST_VALUES)
        if isinstance(value, int | float | str) and not isinstance(value, bool)
    ]
    return ", ".join(f"{name}={_number(value)}" for name, value in numbers)


def _number(value: float | str) -> str:
    """As Grafana shows it: 93.5, and 1 instead of 1.0."""
    return f"{value:.15g}" if isinstance(value, float) else str(value)
