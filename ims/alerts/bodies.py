"""The response to a sender, with the result of each alert."""

from collections.abc import Sequence
from typing import Any

from ims.alerts.episodes import Result
from ims.alerts.notifications import AlertNotification, NotificationStatus, Parsed, RejectReason


def response_body(source: str, parsed: Parsed, results: Sequence[Result]) -> dict[str, Any]:
    """The result of each alert, in the sender's order; `results` has one entry for each notification."""
    alerts = [
        _render_notification(place, notification, result)
        for place, notification, result in zip(parsed.places, parsed.notifications, results, strict=True)
    ]
    alerts += [
        {"place": one.place, "result": "rejected", "reason": one.reason.value, "message": one.message}
        for one in parsed.rejected
    ]
    alerts += [{"place": one.place, "result": Result.IGNORED.value, "message": one.message} for one in parsed.ignored]
    alerts.sort(key=lambda alert: alert["place"])
    rejected = sum(alert["result"] == Result.REJECTED.value for alert in alerts)
    return {
        "source": source,
        "accepted": len(alerts) - rejected - len(parsed.ignored),
        "ignored": len(parsed.ignored),
        "rejected": rejected,
        "truncated": parsed.truncated,
        "alerts": alerts,
    }


def _render_notification(place: int, notification: AlertNotification, result: Result) -> dict[str, Any]:
    alert = {"place": place, "fingerprint": notification.fingerprint, "result": result.value}
    if notification.unused:
        alert["unused"] = list(notification.unused)
    if result is Result.DUPLICATE and notification.status is NotificationStatus.RESOLVED:
        alert["message"] = "Nothing of this fingerprint is open."
    if result is Result.REJECTED:
        alert |= {"reason": RejectReason.NOT_STORABLE.value, "message": "The database could not store it."}
    return alert
