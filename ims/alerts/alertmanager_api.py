"""Alertmanager's own list of alerts, `GET /api/v2/alerts`: what a notification left out is found there.

Only ever asked at the address from our configuration: a payload's `externalURL` is a sender's claim, and following it
would let a sender make us call anything.
"""

import json
import urllib.request
from collections.abc import Iterable
from datetime import datetime
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode, urlsplit

from ims.alerts.notices import Notice, Rejected, read_alert
from ims.errors import ConfigurationFaulty, IMSError

TIMEOUT_SECONDS = 30
MOST_BYTES = 128 * 1024 * 1024


class AlertmanagerAway(IMSError):
    """The Alertmanager of the source does not answer, or not with its list of alerts."""

    status = 503


def fetch_alerts(base_url: str) -> list[Any]:
    """The alerts that fire now and are neither silenced nor inhibited, as Alertmanager tells them. Blocks.

    Raises `AlertmanagerAway`, and `ConfigurationFaulty` when the address is none of the web.
    """
    query = urlencode({"active": "true", "silenced": "false", "inhibited": "false", "unprocessed": "false"})
    listing = ask(base_url, f"/api/v2/alerts?{query}")
    if not isinstance(listing, list):
        raise AlertmanagerAway
    return listing


def ask(base_url: str, path: str) -> Any:
    """What an Alertmanager's API answers to a GET of `path`. Blocks, at most 30 s while nothing comes.

    Raises `AlertmanagerAway`, and `ConfigurationFaulty` when the address is none of the web.
    """
    if urlsplit(base_url).scheme not in ("http", "https"):
        raise ConfigurationFaulty("The source's Alertmanager URL must begin with http:// or https://.")
    # Straight to it: a proxy of the environment is for the internet.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{base_url.rstrip('/')}{path}", timeout=TIMEOUT_SECONDS) as answer:
            body = answer.read(MOST_BYTES + 1)
        if len(body) > MOST_BYTES:
            raise AlertmanagerAway("The Alertmanager's answer is larger than 128 MB.")
        return json.loads(body)
    # HTTPException: an answer that breaks off, or is none.
    except (OSError, ValueError, RecursionError, HTTPException) as error:
        raise AlertmanagerAway from error


def firing_notices(
    listing: Iterable[Any], source: str, receiver: str | None, now: datetime
) -> tuple[list[Notice], list[Rejected]]:
    """Notices of the listed alerts that go to `receiver` (all, if None): an Alertmanager serves others too."""
    notices: list[Notice] = []
    rejected: list[Rejected] = []
    for place, given in enumerate(listing):
        if isinstance(given, dict):
            if receiver is not None and receiver not in _receivers(given):
                continue
            # There `status` is an object; whatever is listed as active fires.
            given = {**given, "status": "firing"}  # noqa: PLW2901
        read = read_alert(given, source, now, place)
        if isinstance(read, Notice):
            notices.append(read)
        else:
            rejected.append(read)
    return notices, rejected


def _receivers(alert: dict[str, Any]) -> set[str]:
    listed = alert.get("receivers")
    if not isinstance(listed, list):
        return set()
    names = (one.get("name") for one in listed if isinstance(one, dict))
    return {name for name in names if isinstance(name, str)}
