"""Snapshots: the alerts that a source's Alertmanager lists as firing right now.

Unlike a notification, a snapshot cannot be late: it is the present state of the Alertmanager. It can lack firing
alerts, though. Alertmanager does not keep alerts over a restart, and receives those that still fire only when
Prometheus sends them again. The Alertmanagers of a cluster share silences, but not alerts: one that Prometheus does not
reach stays empty. And a wrong address may belong to one that never had the source's alerts. So a snapshot says which
instance answered, and why its answer may be incomplete.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from ims.alerts.alertmanager import AlertmanagerAway, Response, connect, firing_notifications
from ims.alerts.notifications import AlertNotification, read_alert, read_time

SETTLING: Final = timedelta(minutes=5)
"""After a start an Alertmanager may not have received all alerts yet; Prometheus resends them every minute."""


class Uncertainty(StrEnum):
    """Why an alert that an Alertmanager does not list may fire nevertheless."""

    STARTED_LATELY = "started_lately"
    """The Alertmanager started recently: Prometheus may not have resent all firing alerts yet."""
    START_UNKNOWN = "start_unknown"
    """The Alertmanager does not say when it started."""
    UNREADABLE = "unreadable"
    """A listed alert cannot be parsed: it could be any of those that seem to be absent."""
    SEVERAL_ANSWERED = "several_answered"
    """Several Alertmanagers answer at the address: one may not have the alerts that another one sent."""
    NEVER_LISTED = "never_listed"
    """This Alertmanager has never listed the alert: it may be the wrong one, or receive only some alerts."""


@dataclass(frozen=True, slots=True)
class AlertmanagerInstance:
    """The Alertmanager process that answered, as far as it can be identified."""

    place: str
    """A digest of the address at which it was polled."""
    process: str
    """A digest of its name in its cluster, which is new with each start, and of its start time."""
    started_at: datetime | None
    """By this machine's clock; None if unknown."""
    is_alone: bool
    """It has no peers in a cluster."""

    @property
    def key(self) -> str:
        """Address and process, as stored in the episodes of the alerts that it lists."""
        return f"{self.place}.{self.process}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The result of one polling. Times are by this machine's clock, except those of notifications."""

    source: str
    polled_at: datetime
    """Taken before the requests: notifications that arrive afterwards are newer than the snapshot."""
    instance: AlertmanagerInstance
    firing: Mapping[str, AlertNotification]
    """By fingerprint: alerts of IMS's receiver, not suppressed, that have fired longer than a notification takes."""
    present: frozenset[str]
    """Fingerprints of all alerts that it lists, suppressed or not: these have not resolved."""
    uncertainty: Uncertainty | None
    """Why an absent alert may fire nevertheless; None if absent alerts are over."""


def fetch_snapshot(source: str, base_url: str, receiver: str | None, grace: timedelta, polled_at: datetime) -> Snapshot:
    """Poll the configured Alertmanager. Blocks. Raises `AlertmanagerAway` and `ConfigurationFaulty`."""
    with connect(base_url) as client:
        # Before and after: an instance that answers both has most likely answered in between, too.
        before = _read_instance(base_url, client.get("/api/v2/status"), polled_at)
        listing = client.get("/api/v2/alerts").content
        after = _read_instance(base_url, client.get("/api/v2/status"), polled_at)
    if not isinstance(listing, list):
        raise AlertmanagerAway("The response at the Alertmanager's URL is not a list of alerts.")
    is_one = before.key == after.key and (client.is_unbroken or before.is_alone)
    return take_snapshot(listing, source, receiver, after, grace, polled_at, is_one=is_one)


def take_snapshot(
    listing: Iterable[Any],
    source: str,
    receiver: str | None,
    instance: AlertmanagerInstance,
    grace: timedelta,
    polled_at: datetime,
    *,
    is_one: bool = True,
) -> Snapshot:
    """Parse a list of alerts; `is_one` is false if it may come from another instance than `instance`. Pure."""
    active, present, unreadable = [], set(), 0
    for given in listing:
        read = read_alert({**given, "status": "firing"}, source, polled_at) if isinstance(given, dict) else None
        if not isinstance(read, AlertNotification):
            unreadable += 1
            continue
        present.add(read.fingerprint)
        if _is_active(given):
            active.append(given)
    notifications, _ = firing_notifications(active, source, receiver, polled_at)
    return Snapshot(
        source=source,
        polled_at=polled_at,
        instance=instance,
        firing={
            notification.fingerprint: notification
            for notification in notifications
            if notification.starts_at is None or notification.starts_at <= polled_at - grace
        },
        present=frozenset(present),
        uncertainty=_uncertainty(instance, unreadable, polled_at) if is_one else Uncertainty.SEVERAL_ANSWERED,
    )


def read_instance(
    base_url: str, status: Mapping[str, Any], sent_at: datetime | None, now: datetime
) -> AlertmanagerInstance:
    """The instance that answered, by its status. `sent_at` is when it answered, by its own clock. Pure."""
    cluster = status.get("cluster")
    cluster = cluster if isinstance(cluster, dict) else {}
    peers = cluster.get("peers")
    started_at = read_time(status.get("uptime"), now)
    if started_at is not None and sent_at is not None:
        # With a slow clock, an Alertmanager that has just started would seem to have run for longer.
        started_at = now - (sent_at - started_at)
    return AlertmanagerInstance(
        place=_digest(base_url.rstrip("/")),
        process=_digest(repr((cluster.get("name"), status.get("uptime")))),
        started_at=started_at,
        is_alone=not isinstance(peers, list) or len(peers) <= 1,
    )


def _read_instance(base_url: str, response: Response, now: datetime) -> AlertmanagerInstance:
    if not isinstance(response.content, dict):
        raise AlertmanagerAway("The response at the Alertmanager's URL is not the status of an Alertmanager.")
    return read_instance(base_url, response.content, response.sent_at, now)


def _digest(text: str) -> str:
    return sha256(text.encode(errors="backslashreplace")).hexdigest()[:12]


def _uncertainty(instance: AlertmanagerInstance, unreadable: int, polled_at: datetime) -> Uncertainty | None:
    if unreadable:
        return Uncertainty.UNREADABLE
    if instance.started_at is None:
        return Uncertainty.START_UNKNOWN
    return Uncertainty.STARTED_LATELY if instance.started_at > polled_at - SETTLING else None


def _is_active(given: Mapping[str, Any]) -> bool:
    status = given.get("status")
    return isinstance(status, dict) and status.get("state") == "active"
