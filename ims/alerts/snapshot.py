"""What a source's own Alertmanager says fires right now.

Other than a notification, a snapshot cannot be late: it is what the sender believes at the moment. It can lack what fires for
a wrong reason, though. Alertmanager keeps no alerts over a restart, and hears of those that go on only when Prometheus
sends them again. The Alertmanagers of a cluster share silences, never alerts: one that Prometheus does not reach stays
empty. And a wrong address names one that never knew our alerts. So an answer carries who gave it, and why it may not
be whole.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from ims.alerts.alertmanager import AlertmanagerAway, Answer, conversation, firing_notifications
from ims.alerts.notifications import AlertNotification, read_alert, read_time

SETTLING: Final = timedelta(minutes=5)
"""After its start an Alertmanager may not have heard of all alerts; Prometheus repeats them each minute."""


class Uncertainty(StrEnum):
    """Why it is not believed that what an Alertmanager does not list is over."""

    STARTED_LATELY = "started_lately"
    """It may not have been told again what still fires."""
    START_UNKNOWN = "start_unknown"
    """It does not say since when it runs."""
    UNREADABLE = "unreadable"
    """One that cannot be read could be any of those that seem to be absent."""
    SEVERAL_ANSWERED = "several_answered"
    """Behind its address are several: one may not know what another one sent."""
    NEVER_LISTED = "never_listed"
    """This Alertmanager has never listed it: it may be the wrong one, or hear only a part."""


@dataclass(frozen=True, slots=True)
class AlertmanagerInstance:
    """The Alertmanager process that answered, as far as it tells who it is."""

    place: str
    """A digest of the address it was asked at."""
    process: str
    """A digest of its name in its cluster, which is new with each start, and of when it started."""
    started_at: datetime | None
    """By our clock; None if it does not say."""
    is_alone: bool
    """It knows of no others in a cluster."""

    @property
    def key(self) -> str:
        """What is remembered of it by the alerts that it lists: where it was and which one."""
        return f"{self.place}.{self.process}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One answer. Times are ours unless they are a notification's own."""

    source: str
    asked_at: datetime
    """Before it was asked: what we hear afterwards is newer than all of this."""
    instance: AlertmanagerInstance
    firing: Mapping[str, AlertNotification]
    """By fingerprint: what goes to our receiver, is not suppressed, and has fired for longer than a notification takes."""
    present: frozenset[str]
    """Fingerprints of all that it knows, suppressed or not: these have not resolved."""
    uncertainty: Uncertainty | None
    """Why nothing is concluded from what is absent; None if something may be."""


def fetch_snapshot(source: str, base_url: str, receiver: str | None, grace: timedelta, asked_at: datetime) -> Snapshot:
    """Ask the configured Alertmanager. Blocks. Raises `AlertmanagerAway` and `ConfigurationFaulty`."""
    with conversation(base_url) as asked:
        # Before and after: whoever answers both has most likely answered in between, too.
        before = _read_instance(base_url, asked.ask("/api/v2/status"), asked_at)
        listing = asked.ask("/api/v2/alerts").content
        after = _read_instance(base_url, asked.ask("/api/v2/status"), asked_at)
    if not isinstance(listing, list):
        raise AlertmanagerAway("The Alertmanager's URL answers with no list of alerts.")
    is_one = before.key == after.key and (asked.is_unbroken or before.is_alone)
    return take_snapshot(listing, source, receiver, after, grace, asked_at, is_one=is_one)


def take_snapshot(
    listing: Iterable[Any],
    source: str,
    receiver: str | None,
    instance: AlertmanagerInstance,
    grace: timedelta,
    asked_at: datetime,
    *,
    is_one: bool = True,
) -> Snapshot:
    """Read an answer; `is_one` is false if it may come from another than `instance`. Pure."""
    active, present, unreadable = [], set(), 0
    for given in listing:
        read = read_alert({**given, "status": "firing"}, source, asked_at) if isinstance(given, dict) else None
        if not isinstance(read, AlertNotification):
            unreadable += 1
            continue
        present.add(read.fingerprint)
        if _is_active(given):
            active.append(given)
    notifications, _ = firing_notifications(active, source, receiver, asked_at)
    return Snapshot(
        source=source,
        asked_at=asked_at,
        instance=instance,
        firing={
            notification.fingerprint: notification
            for notification in notifications
            if notification.starts_at is None or notification.starts_at <= asked_at - grace
        },
        present=frozenset(present),
        uncertainty=_uncertainty(instance, unreadable, asked_at) if is_one else Uncertainty.SEVERAL_ANSWERED,
    )


def read_instance(
    base_url: str, status: Mapping[str, Any], told_at: datetime | None, now: datetime
) -> AlertmanagerInstance:
    """Who answers, by its status. `told_at` is when it said so, by its own clock. Pure."""
    cluster = status.get("cluster")
    cluster = cluster if isinstance(cluster, dict) else {}
    peers = cluster.get("peers")
    started_at = read_time(status.get("uptime"), now)
    if started_at is not None and told_at is not None:
        # A clock that is slow would make an Alertmanager look settled that has just started.
        started_at = now - (told_at - started_at)
    return AlertmanagerInstance(
        place=_digest(base_url.rstrip("/")),
        process=_digest(repr((cluster.get("name"), status.get("uptime")))),
        started_at=started_at,
        is_alone=not isinstance(peers, list) or len(peers) <= 1,
    )


def _read_instance(base_url: str, answer: Answer, now: datetime) -> AlertmanagerInstance:
    if not isinstance(answer.content, dict):
        raise AlertmanagerAway("The Alertmanager's URL answers with no status of an Alertmanager.")
    return read_instance(base_url, answer.content, answer.told_at, now)


def _digest(text: str) -> str:
    return sha256(text.encode(errors="backslashreplace")).hexdigest()[:12]


def _uncertainty(instance: AlertmanagerInstance, unreadable: int, asked_at: datetime) -> Uncertainty | None:
    if unreadable:
        return Uncertainty.UNREADABLE
    if instance.started_at is None:
        return Uncertainty.START_UNKNOWN
    return Uncertainty.STARTED_LATELY if instance.started_at > asked_at - SETTLING else None


def _is_active(given: Mapping[str, Any]) -> bool:
    status = given.get("status")
    return isinstance(status, dict) and status.get("state") == "active"
