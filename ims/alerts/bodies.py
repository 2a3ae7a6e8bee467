"""What a sender is answered: what became of each alert."""

from collections.abc import Sequence
from typing import Any

from ims.alerts.episodes import Result
from ims.alerts.notifications import Notice, Parsed, RejectReason


def told(source: str, parsed: Parsed, results: Sequence[Result]) -> dict[str, Any]:
    """What became of each alert, in the sender's order; `results` has one entry for each notice."""
    alerts = [
        _told_of_notice(place, notice, result)
        for place, notice, result in zip(parsed.places, parsed.notices, results, strict=True)
    ]
    alerts += [
        {"place": one.place, "result": "rejected", "reason": one.reason.value, "message": one.message}
        for one in parsed.rejected
    ]
    alerts.sort(key=lambda alert: alert["place"])
    rejected = sum(alert["result"] == Result.REJECTED.value for alert in alerts)
    return {
        "source": source,
        "accepted": len(alerts) - rejected,
        "rejected": rejected,
        "truncated": parsed.truncated,
        "alerts": alerts,
    }


def _told_of_notice(place: int, notice: Notice, result: Result) -> dict[str, Any]:
    told = {"place": place, "fingerprint": notice.fingerprint, "result": result.value}
    if result is Result.REJECTED:
        told |= {"reason": RejectReason.NOT_STORABLE.value, "message": "The database refused it."}
    return told
