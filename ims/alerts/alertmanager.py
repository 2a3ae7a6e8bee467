"""Client of Alertmanager's `GET /api/v2/alerts`, to find alerts that notifications left out.

IMS polls only the configured address. A payload's `externalURL` is a sender's claim; following it would let a sender
make IMS call any address.
"""

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from ims.alerts.notifications import AlertNotification, Rejected, read_alert
from ims.core.errors import ConfigurationFaulty, IMSError

TIMEOUT_SECONDS = 30
"""Timeout while no data arrives."""
WHOLE_SECONDS = 120
"""Timeout of a whole response: one that trickles in would hold a worker's thread forever."""
MOST_BYTES = 128 * 1024 * 1024
_PART: Final = 1024 * 1024
_WRONG_ADDRESS: Final = "The source's Alertmanager URL must be http:// or https:// with a host and, if need be, a port."


class AlertmanagerAway(IMSError):
    """The source's Alertmanager does not respond, or not with a list of alerts."""

    status = 503


def fetch_alerts(base_url: str) -> list[Any]:
    """The alerts that fire now and are neither silenced nor inhibited, as Alertmanager lists them. Blocks.

    Raises `AlertmanagerAway`, and `ConfigurationFaulty` when the address is not an http(s) URL.
    """
    query = urlencode({"active": "true", "silenced": "false", "inhibited": "false", "unprocessed": "false"})
    with connect(base_url) as client:
        listing = client.get(f"/api/v2/alerts?{query}").content
    if not isinstance(listing, list):
        raise AlertmanagerAway
    return listing


@dataclass(frozen=True, slots=True)
class Response:
    """A response of an Alertmanager's API."""

    content: Any
    sent_at: datetime | None
    """When it was sent, by the clock of the responding machine; None without a `Date` header."""


class Client:
    """Requests over one connection: behind a load balancer, the same Alertmanager answers all of them."""

    def __init__(self, connection: HTTPConnection, path: str) -> None:
        self._connection = connection
        self._path = path
        self._was_used = False
        self.is_unbroken = True
        """Whether all responses came over the same connection."""

    def get(self, path: str) -> Response:
        """The response to a GET of `path`. Blocks, at most 30 s while no data arrives. Raises `AlertmanagerAway`."""
        if self._was_used and self._connection.sock is None:
            self.is_unbroken = False
        self._was_used = True
        try:
            self._connection.request("GET", f"{self._path}{path}", headers={"Accept": "application/json"})
            with self._connection.getresponse() as response:
                return Response(json.loads(_read(response)), _time(response.getheader("Date")))
        # HTTPException: a response that breaks off, or is not HTTP.
        except (OSError, ValueError, RecursionError, HTTPException) as error:
            raise AlertmanagerAway from error


@contextmanager
def connect(base_url: str) -> Iterator[Client]:
    """A client of the Alertmanager at an address. Raises `ConfigurationFaulty` when it is not an http(s) URL.

    It connects directly, since a proxy of the environment is for the internet. It does not follow redirects: only the
    configured address may answer.
    """
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
        kind = {"http": HTTPConnection, "https": HTTPSConnection}[parts.scheme]
        connection = kind(host or "", port, timeout=TIMEOUT_SECONDS)
    except (KeyError, ValueError, HTTPException) as error:
        raise ConfigurationFaulty(_WRONG_ADDRESS) from error
    if not host:
        raise ConfigurationFaulty(_WRONG_ADDRESS)
    try:
        yield Client(connection, parts.path.rstrip("/"))
    finally:
        connection.close()


def _read(response: HTTPResponse) -> bytes:
    """The body. Raises `AlertmanagerAway` for a status other than 200, and a body that is too large or never ends."""
    if response.status != 200:
        moved = f" and redirects to {response.getheader('Location')!r}" if 300 <= response.status < 400 else ""
        raise AlertmanagerAway(
            f"The Alertmanager's URL answers HTTP {response.status}{moved}: set the source to the address of its API."
        )
    deadline = time.monotonic() + WHOLE_SECONDS
    body = bytearray()
    while part := response.read1(_PART):
        body += part
        if len(body) > MOST_BYTES:
            raise AlertmanagerAway("The Alertmanager's response is larger than 128 MB.")
        if time.monotonic() > deadline:
            raise AlertmanagerAway("The Alertmanager's response took longer than 2 minutes.")
    if response.length:
        raise AlertmanagerAway("The Alertmanager's response broke off.")
    return bytes(body)


def _time(date: str | None) -> datetime | None:
    try:
        sent_at = parsedate_to_datetime(date) if date else None
    except ValueError:
        return None
    return sent_at if sent_at is not None and sent_at.tzinfo is not None else None


def firing_notifications(
    listing: Iterable[Any], source: str, receiver: str | None, now: datetime
) -> tuple[list[AlertNotification], list[Rejected]]:
    """Notifications of the listed alerts of `receiver` (of all, if None): an Alertmanager has other receivers, too."""
    notifications: list[AlertNotification] = []
    rejected: list[Rejected] = []
    for place, given in enumerate(listing):
        if isinstance(given, dict):
            if receiver is not None and receiver not in _receivers(given):
                continue
            # The API's `status` is an object, not a text; every alert that is listed as active fires.
            given = {**given, "status": "firing"}  # noqa: PLW2901
        read = read_alert(given, source, now, place)
        if isinstance(read, AlertNotification):
            notifications.append(read)
        else:
            rejected.append(read)
    return notifications, rejected


def _receivers(alert: dict[str, Any]) -> set[str]:
    listed = alert.get("receivers")
    if not isinstance(listed, list):
        return set()
    names = (one.get("name") for one in listed if isinstance(one, dict))
    return {name for name in names if isinstance(name, str)}
