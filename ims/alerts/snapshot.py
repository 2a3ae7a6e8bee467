"""Snapshots: the alerts that a source's Alertmanager lists as firing right now.

Unlike a notification, a snapshot cannot be late: it is the present state of the Alertmanager. But it can lack firing
alerts. Alertmanager does not keep alerts over a restart; it has those that still fire only once Prometheus sends them
again. The Alertmanagers of a cluster share silences, but not alerts: one that Prometheus does not reach stays empty.
And the configured URL may belong to an Alertmanager that never gets the source's alerts. So a snapshot records which
instance answered, and why its answer may be incomplete.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from ims.alerts.alertmanager import Response, connect, fetch_alerts, fetch_groups, fetch_status
from ims.alerts.notifications import AlertNotification, Rejected, read_alert, read_time
from ims.alerts.routing import UNKNOWN, Deliverable, Routing, deliverable, read_routing

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
class Firing:
    """An alert that Alertmanager sends to IMS, or has sent already."""

    notification: AlertNotification
    wait: timedelta
    """For how long the Alertmanager's grouping may delay the notification."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The result of one poll. Times are by this machine's clock, except those in notifications."""

    source: str
    polled_at: datetime
    """Taken before the requests: notifications that arrive afterwards are newer than the snapshot."""
    instance: AlertmanagerInstance
    firing: Mapping[str, Firing]
    """By fingerprint, the alerts for IMS's receiver that are not silenced, inhibited or muted."""
    present: frozenset[str]
    """Fingerprints of all alerts that it lists, suppressed or not: these have not resolved."""
    uncertainty: Uncertainty | None
    """Why an alert that is not listed may still fire; None if it has certainly resolved."""


async def fetch_snapshot(source: str, base_url: str, receiver: str | None, polled_at: datetime) -> Snapshot:
    """Poll the configured Alertmanager. Raises `AlertmanagerAway` and `ConfigurationFaulty`."""
    async with connect(base_url) as client:
        # If one instance answers before and after, it has most likely answered the requests in between, too.
        first = await fetch_status(client)
        listing = await fetch_alerts(client)
        # Groups after the list: an alert that starts in between is only in the groups. It is too new to be missed, and
        # has no open episode that its absence from the list would close.
        groups = await fetch_groups(client, receiver)
        last = await fetch_status(client)
    before, after = (_read_instance(base_url, response, polled_at) for response in (first, last))
    is_one = before.key == after.key and (client.is_unbroken or before.is_alone)
    routing = await asyncio.to_thread(read_routing, last.content)
    return await asyncio.to_thread(
        take_snapshot, listing, groups, source, receiver, after, polled_at, routing, is_one=is_one
    )


async def fetch_deliverable(
    source: str, base_url: str, receiver: str | None, now: datetime, beside: Collection[str] = ()
) -> tuple[list[AlertNotification], list[Rejected]]:
    """Fetch the alerts that the configured Alertmanager sends to `receiver` (to any, if None).

    With `beside`, only those in groups with an alert that has one of these fingerprints: Alertmanager sends each other
    group in a notification of its own. Raises `AlertmanagerAway` and `ConfigurationFaulty`.
    """
    async with connect(base_url) as client:
        status = await fetch_status(client)
        groups = await fetch_groups(client, receiver)
    routing = await asyncio.to_thread(read_routing, status.content)
    return await asyncio.to_thread(_read_deliverable, deliverable(groups, receiver, routing, beside), source, now)


def _read_deliverable(
    sent: Iterable[Deliverable], source: str, now: datetime
) -> tuple[list[AlertNotification], list[Rejected]]:
    read = [read_listed(one.alert, source, now, place) for place, one in enumerate(sent)]
    # An alert may be in several groups.
    notifications = {one.fingerprint: one for one in read if isinstance(one, AlertNotification)}
    return list(notifications.values()), [one for one in read if isinstance(one, Rejected)]


def take_snapshot(
    listing: Iterable[Any],
    groups: Iterable[Any],
    source: str,
    receiver: str | None,
    instance: AlertmanagerInstance,
    polled_at: datetime,
    routing: Routing = UNKNOWN,
    *,
    is_one: bool = True,
) -> Snapshot:
    """Parse the list of all alerts, and the groups. Pure.

    `is_one` is false if `listing` and `groups` may come from another instance than `instance`.
    """
    present, unreadable = set(), 0
    for given in listing:
        read = read_listed(given, source, polled_at)
        if isinstance(read, AlertNotification):
            present.add(read.fingerprint)
        else:
            unreadable += 1
    return Snapshot(
        source=source,
        polled_at=polled_at,
        instance=instance,
        firing=_firing(deliverable(groups, receiver, routing), source, polled_at),
        present=frozenset(present),
        uncertainty=_uncertainty(instance, unreadable, polled_at) if is_one else Uncertainty.SEVERAL_ANSWERED,
    )


def read_listed(given: Any, source: str, now: datetime, place: int | None = None) -> AlertNotification | Rejected:
    """Parse an alert of the API. Its `status` is an object, unlike in a notification; every listed alert is firing."""
    return read_alert({**given, "status": "firing"} if isinstance(given, dict) else given, source, now, place)


def _firing(sent: Iterable[Deliverable], source: str, now: datetime) -> dict[str, Firing]:
    firing: dict[str, Firing] = {}
    for one in sent:
        read = read_listed(one.alert, source, now)
        if not isinstance(read, AlertNotification):
            continue
        known = firing.get(read.fingerprint)
        if known is None or one.wait < known.wait:
            firing[read.fingerprint] = Firing(read, one.wait)
    return firing


def read_instance(
    base_url: str, status: Mapping[str, Any], sent_at: datetime | None, now: datetime
) -> AlertmanagerInstance:
    """The instance that answered with this status. `sent_at` is when it answered, by its own clock. Pure."""
    cluster = status.get("cluster")
    cluster = cluster if isinstance(cluster, dict) else {}
    peers = cluster.get("peers")
    started_at = read_time(status.get("uptime"), now)
    if started_at is not None and sent_at is not None:
        # Correct for its clock: if that is behind ours, an Alertmanager that has just started would seem to be older.
        started_at = now - (sent_at - started_at)
    return AlertmanagerInstance(
        place=_digest(base_url.rstrip("/")),
        process=_digest(repr((cluster.get("name"), status.get("uptime")))),
        started_at=started_at,
        is_alone=not isinstance(peers, list) or len(peers) <= 1,
    )


def _read_instance(base_url: str, response: Response, now: datetime) -> AlertmanagerInstance:
    return read_instance(base_url, response.content, response.sent_at, now)


def _digest(text: str) -> str:
    return sha256(text.encode(errors="backslashreplace")).hexdigest()[:12]


def _uncertainty(instance: AlertmanagerInstance, unreadable: int, polled_at: datetime) -> Uncertainty | None:
    if unreadable:
        return Uncertainty.UNREADABLE
    if instance.started_at is None:
        return Uncertainty.START_UNKNOWN
    return Uncertainty.STARTED_LATELY if instance.started_at > polled_at - SETTLING else None
