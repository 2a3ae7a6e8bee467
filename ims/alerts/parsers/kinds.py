"""Which reader understands one alert of a source, by the kind of the source."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from ims.alerts.notifications import Notice, Rejected, read_alert
from ims.alerts.parsers.cloudevents import read_event
from ims.alerts.parsers.generic import read_generic
from ims.alerts.parsers.grafana import read_grafana

Reader = Callable[[Any, str, datetime], Notice | Rejected]
"""Reads one alert as its sender wrote it: the alert, the source's name, now. Never raises for bad input."""

READERS: Final[Mapping[str, Reader]] = {
    "alertmanager": read_alert,
    "grafana": read_grafana,
    "generic": read_generic,
    "cloudevents": read_event,
}
"""By kind of source."""
