"""What a source's own Alertmanager says fires right now.

Other than a notice, a snapshot cannot be late: it is what the sender believes at the moment. It can be empty for a
wrong reason, though: Alertmanager keeps no alerts over a restart, and hears of those that go on only when Prometheus
sends them again. So shortly after its start nothing is concluded from an alert's absence.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from ims.alerts.alertmanager_api import AlertmanagerAway, ask, firing_notices
from ims.alerts.notices import Notice, read_alert, read_time

SETTLING: Final = timedelta(minutes=5)
"""After its start an Alertmanager may not have heard of all alerts; Prometheus repeats them each minute."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One answer. Times are ours unless they are a notice's own."""

    source: str
    asked_at: datetime
    """Before it was asked: what we hear afterwards is newer than all of this."""
    firing: Mapping[str, Notice]
    """By fingerprint: what goes to our receiver, is not suppressed, and has fired for longer than a notice takes."""
    present: frozenset[str]
    """Fingerprints of all that it knows, suppressed or not: these have not resolved."""
    is_complete: bool
    """Whether what is absent has really resolved."""


def fetch_snapshot(source: str, base_url: str, receiver: str | None, grace: timedelta, asked_at: datetime) -> Snapshot:
    """Ask the configured Alertmanager. Blocks. Raises `AlertmanagerAway` and `ConfigurationFaulty`."""
    listing, status = ask(base_url, "/api/v2/alerts"), ask(base_url, "/api/v2/status")
    if not isinstance(listing, list) or not isinstance(status, dict):
        raise AlertmanagerAway
    started_at = read_time(status.get("uptime"), asked_at)
    return take_snapshot(listing, source, receiver, started_at, grace, asked_at)


def take_snapshot(
    listing: Iterable[Any],
    source: str,
    receiver: str | None,
    started_at: datetime | None,
    grace: timedelta,
    asked_at: datetime,
) -> Snapshot:
    """Read an answer. `started_at` is when that Alertmanager started, None if it does not say. Pure."""
    active, present, unreadable = [], set(), 0
    for given in listing:
        read = read_alert({**given, "status": "firing"}, source, asked_at) if isinstance(given, dict) else None
        if not isinstance(read, Notice):
            unreadable += 1
            continue
        present.add(read.fingerprint)
        if _is_active(given):
            active.append(given)
    notices, _ = firing_notices(active, source, receiver, asked_at)
    return Snapshot(
        source=source,
        asked_at=asked_at,
        firing={
            notice.fingerprint: notice
            for notice in notices
            if notice.starts_at is None or notice.starts_at <= asked_at - grace
        },
        present=frozenset(present),
        # One that cannot be read could be any of those that seem to be absent.
        is_complete=not unreadable and started_at is not None and started_at <= asked_at - SETTLING,
    )


def _is_active(given: Mapping[str, Any]) -> bool:
    status = given.get("status")
    return isinstance(status, dict) and status.get("state") == "active"
