"""Alertmanager's webhook, version 4.

Source: github.com/prometheus/alertmanager, notify/webhook and template/template.go. Unknown keys are accepted, since
newer versions add some.
"""

from datetime import datetime
from typing import Any

from ims.alerts.notifications import NAME_LENGTH, Parsed, clean, read_alert
from ims.alerts.parsers.each import Read, read_each
from ims.core.errors import FieldError, Invalid, TooLarge

MOST_ALERTS = 100_000
"""In one body. A group of a large Alertmanager can hold 10,000; 32 MB of empty values could be 16 million."""
MOST_TRUNCATED = 1_000_000


class NotAlertmanager(Invalid):
    """The body is not a notification of Alertmanager: an object with a list `alerts`."""


def parse(body: Any, source: str, now: datetime) -> Parsed:
    """Parse a body. Malformed alerts are rejected, the others accepted. Raises the errors of `parse_notification`."""
    return parse_notification(body, source, now, read_alert)


def parse_notification(body: Any, source: str, now: datetime, read: Read) -> Parsed:
    """Parse a body whose alerts `read` parses.

    Raises `NotAlertmanager` when the body as a whole has another format, `TooLarge` when it has too many alerts.
    """
    alerts = body.get("alerts") if isinstance(body, dict) else None
    if not isinstance(alerts, list):
        raise NotAlertmanager(fields=[FieldError("alerts", "must be a list of alerts")])
    if len(alerts) > MOST_ALERTS:
        raise TooLarge(f"A notification may hold {MOST_ALERTS} alerts: set max_alerts in the receiver.")
    truncated, receiver = _truncated(body.get("truncatedAlerts")), _receiver(body.get("receiver"))
    return read_each(alerts, read, source, now, truncated=truncated, receiver=receiver)


def _truncated(given: Any) -> int:
    """How many alerts the sender left out; Alertmanager before 0.22 does not send the number."""
    if not isinstance(given, int) or isinstance(given, bool):
        return 0
    return min(max(given, 0), MOST_TRUNCATED)


def _receiver(given: Any) -> str | None:
    """The receiver of the notification: Alertmanager's API lists each alert with its receivers."""
    return clean(given)[:NAME_LENGTH] if isinstance(given, str) and given else None
