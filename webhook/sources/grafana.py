"""Grafana's alerting: a notification of Alertmanager's shape, with `version` "1" and keys of its own."""

from datetime import datetime
from typing import Any

from ims.alerts.grafana import read_grafana
from ims.alerts.notices import Parsed
from webhook.sources.alertmanager import parse_notification


def parse(body: Any, source: str, now: datetime) -> Parsed:
    """The notices in a body. A malformed alert is put aside, the others go on. Raises as Alertmanager's does."""
    return parse_notification(body, source, now, read_grafana)
