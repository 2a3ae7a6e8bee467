"""Grafana's alerting: a notification of Alertmanager's shape, with `version` "1" and keys of its own."""

from datetime import datetime
from typing import Any

from ims.alerts.notifications import Parsed
from ims.alerts.parsers.alertmanager import parse_notification
from ims.alerts.parsers.grafana import read_grafana


def parse(body: Any, source: str, now: datetime) -> Parsed:
    """The notices in a body. A malformed alert is put aside, the others go on. Raises as Alertmanager's does."""
    return parse_notification(body, source, now, read_grafana)
