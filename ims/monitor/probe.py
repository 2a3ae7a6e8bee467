"""Probe a service's URL once.

A service is healthy if an HTTP response with a status below 400 begins in time. A redirect counts as healthy and is not
followed: it could lead to another host, whose health says nothing about this one. The body is not read. Probes run in
the event loop, so that services that hang do not block threads.
"""

import asyncio
import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

TIMEOUT: Final = 2.0
"""Seconds for one probe, from the DNS lookup to the status line."""

_MOST_INTERIM_ANSWERS = 5
_HEALTHY_BELOW = 400
_FINAL_FROM = 200
_SAFE = "/%?:@!$&'()*+,;=~-._[]"  # characters that need no encoding in a URL, or are encoded already
_LINE_LIMIT = 8192  # bytes


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of one probe: `reason` is a sentence for people."""

    is_healthy: bool
    reason: str
    status: int | None = None


async def probe(url: str, *, timeout: float = TIMEOUT) -> ProbeResult:  # noqa: ASYNC109 - one number for all steps
    """Probe once. Never raises for errors of the service, its DNS name or its certificate."""
    address = urlsplit(url)
    try:
        async with asyncio.timeout(timeout):
            status = await _get_status(address)
    except TimeoutError:
        return ProbeResult(False, f"No answer within {timeout:g} s.")
    except ssl.SSLCertVerificationError as error:
        return ProbeResult(False, f"The certificate is not valid: {error.verify_message}.")
    except ConnectionRefusedError:
        return ProbeResult(False, "The connection was refused.")
    except (OSError, ValueError) as error:
        return ProbeResult(False, f"The connection failed ({type(error).__name__}).")
    return ProbeResult(status < _HEALTHY_BELOW, f"HTTP {status}.", status)


async def _get_status(address: SplitResult) -> int:
    is_tls = address.scheme == "https"
    reader, writer = await asyncio.open_connection(
        address.hostname,
        address.port or (443 if is_tls else 80),
        ssl=ssl.create_default_context() if is_tls else None,
        limit=_LINE_LIMIT,
    )
    try:
        writer.write(_request(address))
        await writer.drain()
        for _ in range(_MOST_INTERIM_ANSWERS):
            status = _status(await reader.readline())
            if status >= _FINAL_FROM:
                return status
            await _skip_headers(reader)
    finally:
        # Not a clean shutdown: a peer that never answers the TLS close would keep the probe beyond its timeout.
        writer.transport.abort()
    raise ValueError("only interim responses")


def _request(address: SplitResult) -> bytes:
    path = quote((address.path or "/") + (f"?{address.query}" if address.query else ""), safe=_SAFE)
    host = address.netloc.rpartition("@")[2]
    lines = (f"GET {path} HTTP/1.1", f"Host: {host}", "User-Agent: ims-probe", "Accept: */*", "Connection: close")
    return "\r\n".join((*lines, "", "")).encode("ascii", "strict")


def _status(line: bytes) -> int:
    """The status in the first line of a response. Raises `ValueError` if it is not HTTP."""
    version, _, rest = line.decode("latin-1").partition(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError("not HTTP")
    return int(rest[:3])


async def _skip_headers(reader: asyncio.StreamReader) -> None:
    while (await reader.readline()).strip():
        pass
