"""Alertmanager's own list of alerts, `GET /api/v2/alerts`: what a notification left out is found there.

Only ever asked at the address from our configuration: a payload's `externalURL` is a sender's claim, and following it
would let a sender make us call anything.
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
"""While nothing comes."""
WHOLE_SECONDS = 120
"""For one answer: one that trickles in would hold a worker's thread for ever."""
MOST_BYTES = 128 * 1024 * 1024
_PART: Final = 1024 * 1024
_WRONG_ADDRESS: Final = "The source's Alertmanager URL must be http:// or https:// with a host and, if need be, a port."


class AlertmanagerAway(IMSError):
    """The Alertmanager of the source does not answer, or not with its list of alerts."""

    status = 503


def fetch_alerts(base_url: str) -> list[Any]:
    """The alerts that fire now and are neither silenced nor inhibited, as Alertmanager tells them. Blocks.

    Raises `AlertmanagerAway`, and `ConfigurationFaulty` when the address is none of the web.
    """
    query = urlencode({"active": "true", "silenced": "false", "inhibited": "false", "unprocessed": "false"})
    with conversation(base_url) as asked:
        listing = asked.ask(f"/api/v2/alerts?{query}").content
    if not isinstance(listing, list):
        raise AlertmanagerAway
    return listing


@dataclass(frozen=True, slots=True)
class Answer:
    """What an Alertmanager's API said."""

    content: Any
    told_at: datetime | None
    """When, by the answering machine's own clock; None if it does not say."""


class Conversation:
    """Questions over one connection: where connections are balanced, one Alertmanager hears all of them."""

    def __init__(self, connection: HTTPConnection, path: str) -> None:
        self._connection = connection
        self._path = path
        self._has_asked = False
        self.is_unbroken = True
        """Whether all answers came over the same connection."""

    def ask(self, path: str) -> Answer:
        """What is answered to a GET of `path`. Blocks, at most 30 s while nothing comes. Raises `AlertmanagerAway`."""
        if self._has_asked and self._connection.sock is None:
            self.is_unbroken = False
        self._has_asked = True
        try:
            self._connection.request("GET", f"{self._path}{path}", headers={"Accept": "application/json"})
            with self._connection.getresponse() as answer:
                return Answer(json.loads(_read(answer)), _time(answer.getheader("Date")))
        # HTTPException: an answer that breaks off, or is none.
        except (OSError, ValueError, RecursionError, HTTPException) as error:
            raise AlertmanagerAway from error


@contextmanager
def conversation(base_url: str) -> Iterator[Conversation]:
    """Ask the Alertmanager at an address. Raises `ConfigurationFaulty` when the address is none of the web.

    Straight to it, since a proxy of the environment is for the internet. A redirection is not followed: who answers
    must be who was configured.
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
        yield Conversation(connection, parts.path.rstrip("/"))
    finally:
        connection.close()


def _read(answer: HTTPResponse) -> bytes:
    """The body. Raises `AlertmanagerAway` for an answer that is refused, moved, too large or never ends."""
    if answer.status != 200:
        moved = f" and points to {answer.getheader('Location')!r}" if 300 <= answer.status < 400 else ""
        raise AlertmanagerAway(
            f"The Alertmanager's URL answers HTTP {answer.status}{moved}: give the source the address of its API."
        )
    deadline = time.monotonic() + WHOLE_SECONDS
    body = bytearray()
    while part := answer.read1(_PART):
        body += part
        if len(body) > MOST_BYTES:
            raise AlertmanagerAway("The Alertmanager's answer is larger than 128 MB.")
        if time.monotonic() > deadline:
            raise AlertmanagerAway("The Alertmanager's answer took longer than 2 minutes.")
    if answer.length:
        raise AlertmanagerAway("The Alertmanager's answer broke off.")
    return bytes(body)


def _time(date: str | None) -> datetime | None:
    try:
        told = parsedate_to_datetime(date) if date else None
    except ValueError:
        return None
    return told if told is not None and told.tzinfo is not None else None


def firing_notifications(
    listing: Iterable[Any], source: str, receiver: str | None, now: datetime
) -> tuple[list[AlertNotification], list[Rejected]]:
    """Notifications of the listed alerts that go to `receiver` (all, if None): an Alertmanager serves others too."""
    notifications: list[AlertNotification] = []
    rejected: list[Rejected] = []
    for place, given in enumerate(listing):
        if isinstance(given, dict):
            if receiver is not None and receiver not in _receivers(given):
                continue
            # There `status` is an object; whatever is listed as active fires.
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
