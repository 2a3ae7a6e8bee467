"""Alertmanager's webhook, version 4.

Source: github.com/prometheus/alertmanager, notify/webhook and template/template.go. Unknown keys are accepted, since
newer versions add some.
"""

from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol

from ims.alerts.notifications import (
    LABEL_NAME_LENGTH,
    MOST_LABELS,
    NAME_LENGTH,
    VALUE_LENGTH,
    AlertNotification,
    Parsed,
    Rejected,
    clean,
    read_alert,
)
from ims.alerts.parsers.each import MOST_ALERTS, read_each
from ims.core.errors import FieldError, Invalid, TooLarge

MOST_TRUNCATED = 1_000_000
_SAID_ANYWAY: Final = ("alertname", "severity")
"""Group labels that tell no problems apart: the name does so anyway, and a worse severity is the same problem."""

Group = tuple[tuple[str, str], ...]
"""Labels with their values."""


class ReadInGroup(Protocol):
    """Reads one alert of a notification whose alerts share group labels. Never raises for bad input."""

    def __call__(
        self, given: Any, source: str, now: datetime, place: int | None = None, group: Group = ()
    ) -> AlertNotification | Rejected:
        """The alert, the source's name, now, its place in the list, what its sender groups by."""


class NotAlertmanager(Invalid):
    """The body is not a notification of Alertmanager: an object with a list `alerts`."""


def parse(body: Any, source: str, now: datetime) -> Parsed:
    """Parse a body. Malformed alerts are rejected, the others accepted. Raises the errors of `parse_notification`."""
    return parse_notification(body, source, now, read_alert)


def parse_notification(body: Any, source: str, now: datetime, read: ReadInGroup) -> Parsed:
    """Parse a body whose alerts `read` parses.

    Raises `NotAlertmanager` when the body as a whole has another format, `TooLarge` when it has too many alerts.
    """
    alerts = body.get("alerts") if isinstance(body, dict) else None
    if not isinstance(alerts, list):
        raise NotAlertmanager(fields=[FieldError("alerts", "must be a list of alerts")])
    if len(alerts) > MOST_ALERTS:
        raise TooLarge(f"A notification may have at most {MOST_ALERTS} alerts: set max_alerts in the receiver.")
    truncated, receiver = _truncated(body.get("truncatedAlerts")), _receiver(body.get("receiver"))
    read_one = partial(read, group=_group(body.get("groupLabels")))
    return read_each(alerts, read_one, source, now, truncated=truncated, receiver=receiver)


def _group(given: Any) -> Group:
    """What the sender groups by; custom payloads may leave it out, and nothing of it is worth a refusal."""
    if not isinstance(given, dict) or len(given) > MOST_LABELS:
        return ()
    texts = ((name, value) for name, value in given.items() if isinstance(value, str) and name not in _SAID_ANYWAY)
    return tuple((clean(name)[:LABEL_NAME_LENGTH], clean(value)[:VALUE_LENGTH]) for name, value in texts)


def _truncated(given: Any) -> int:
    """How many alerts the sender left out; Alertmanager before 0.22 does not send the number."""
    if not isinstance(given, int) or isinstance(given, bool):
        return 0
    return min(max(given, 0), MOST_TRUNCATED)


def _receiver(given: Any) -> str | None:
    """The receiver of the notification: Alertmanager's API lists each alert with its receivers."""
    return clean(given)[:NAME_LENGTH] if isinstance(given, str) and given else None
