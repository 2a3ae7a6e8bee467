"""Which reader understands one alert of a source, by the kind of the source."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from ims.alerts.notices import Notice, Rejected, read_alert

Reader = Callable[[Any, str, datetime], Notice | Rejected]
"""Reads one alert as its sender wrote it: the alert, the source's name, now. Never raises for bad input."""

READERS: Final[Mapping[str, Reader]] = {"alertmanager": read_alert, "grafana": read_alert}
"""By kind of source."""
