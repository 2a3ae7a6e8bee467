"""Client of Alertmanager's API, to find alerts that notifications left out.

IMS polls only the configured address. A payload's `externalURL` is a sender's claim; following it would let a sender
make IMS call any address.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from ims.core.errors import ConfigurationFaulty, IMSError

if TYPE_CHECKING:
    import httpx2

TIMEOUT_SECONDS: Final = 30
"""Timeout while no data arrives."""
DEADLINE_SECONDS: Final = 120
"""Timeout of all requests together, whatever trickles in meanwhile."""
MOST_BYTES: Final = 128 * 1024 * 1024
_WRONG_ADDRESS: Final = "The source's Alertmanager URL must be http:// or https:// with a host and, if need be, a port."


class AlertmanagerAway(IMSError):
    """The source's Alertmanager does not respond, or not with a list of alerts."""

    status = 503


@dataclass(frozen=True, slots=True)
class Response:
    """A response of an Alertmanager's API."""

    content: Any
    sent_at: datetime | None
    """When it was sent, by the clock of the responding machine; None without a `Date` header."""


class Client:
    """Requests over one connection: behind a load balancer, the same Alertmanager answers all of them."""

    def __init__(self, http: "httpx2.AsyncClient") -> None:
        self._http = http
        self._connection: object = None
        self.is_unbroken = True
        """Whether all responses came over the same connection."""

    async def get(self, path: str, **query: str) -> Response:
        """The response to a GET of `path`. Raises `AlertmanagerAway`."""
        import httpx2

        try:
            async with self._http.stream("GET", path, params=query) as response:
                self._note_connection(response)
                body = await _read(response)
                sent_at = _time(response.headers.get("Date"))
            # In a thread: a large list takes seconds, and the worker's heartbeats go on meanwhile.
            return Response(await asyncio.to_thread(json.loads, body), sent_at)
        except (httpx2.HTTPError, httpx2.StreamError, OSError, ValueError, RecursionError) as error:
            raise AlertmanagerAway from error

    def _note_connection(self, response: "httpx2.Response") -> None:
        stream = response.extensions.get("network_stream")
        # The local port: each connection has its own.
        connection = stream.get_extra_info("client_addr") if stream else None
        if self._connection is not None and connection != self._connection:
            self.is_unbroken = False
        self._connection = connection


@asynccontextmanager
async def connect(base_url: str, deadline: float = DEADLINE_SECONDS) -> AsyncIterator[Client]:
    """A client of the Alertmanager at an address; all its requests together may take `deadline` seconds.

    It connects directly, since a proxy of the environment is for the internet. It does not follow redirects: only the
    configured address may answer. Raises `ConfigurationFaulty` when the address is not an http(s) URL, and
    `AlertmanagerAway` after the deadline.
    """
    # Imported here: of the programs that read alerts only a worker polls, and the import takes a while.
    import httpx2

    url = _checked(base_url)
    try:
        # No timeout of a client covers a response whose headers arrive byte by byte.
        async with (
            asyncio.timeout(deadline),
            httpx2.AsyncClient(
                base_url=url,
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                timeout=TIMEOUT_SECONDS,
                limits=httpx2.Limits(max_connections=1),
                trust_env=False,
                # Without TLS, loading the CA certificates would be wasted time.
                verify=url.startswith("https:"),
            ) as http,
        ):
            yield Client(http)
    except httpx2.InvalidURL as error:
        raise ConfigurationFaulty(_WRONG_ADDRESS) from error
    except TimeoutError as error:
        raise AlertmanagerAway(f"The Alertmanager's response took longer than {deadline:g} s.") from error


def _checked(base_url: str) -> str:
    """The address without a user and without a query. Raises `ConfigurationFaulty`."""
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationFaulty(_WRONG_ADDRESS) from error
    if parts.scheme not in ("http", "https") or not host or any(letter <= " " for letter in host):
        raise ConfigurationFaulty(_WRONG_ADDRESS)
    place = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{place}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"


async def _read(response: "httpx2.Response") -> bytes:
    """The body. Raises `AlertmanagerAway` for a status other than 200, and for a body that is too large."""
    if response.status_code != 200:
        moved = f" and redirects to {response.headers.get('Location')!r}" if response.has_redirect_location else ""
        raise AlertmanagerAway(
            f"The Alertmanager's URL answers HTTP {response.status_code}{moved}: set the source to the address of its"
            " API."
        )
    body = bytearray()
    # Raw: the client asks for no compression, and a compressed body could be of any size.
    async for part in response.aiter_raw():
        body += part
        if len(body) > MOST_BYTES:
            raise AlertmanagerAway("The Alertmanager's response is larger than 128 MB.")
    return bytes(body)


def _time(date: str | None) -> datetime | None:
    try:
        sent_at = parsedate_to_datetime(date) if date else None
    except ValueError:
        return None
    return sent_at if sent_at is not None and sent_at.tzinfo is not None else None


async def fetch_status(client: Client) -> Response:
    """The status of the Alertmanager, with its configuration. Raises `AlertmanagerAway`."""
    response = await client.get("/api/v2/status")
    if not isinstance(response.content, dict):
        raise AlertmanagerAway("The response at the Alertmanager's URL is not the status of an Alertmanager.")
    return response


async def fetch_alerts(client: Client) -> list[Any]:
    """All alerts that the Alertmanager has, suppressed or not. Raises `AlertmanagerAway`."""
    return await _fetch_list(client, "/api/v2/alerts")


async def fetch_groups(client: Client, receiver: str | None) -> list[Any]:
    """The groups of `receiver` (of all receivers, if None) with the alerts that are not suppressed.

    Raises `AlertmanagerAway`.
    """
    query = {"active": "true", "silenced": "false", "inhibited": "false", "muted": "false"}
    if receiver is not None:
        # A regular expression of Go, which matches the whole name.
        query["receiver"] = re.escape(receiver)
    return await _fetch_list(client, "/api/v2/alerts/groups", **query)


async def _fetch_list(client: Client, path: str, **query: str) -> list[Any]:
    content = (await client.get(path, **query)).content
    if not isinstance(content, list):
        raise AlertmanagerAway("The response at the Alertmanager's URL is not a list of alerts.")
    return content
