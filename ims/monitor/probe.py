"""Ask a service's URL once: is it healthy?

Well means that an HTTP answer with a status below 400 began in time. A redirect counts as it is and is not followed: it
could lead to another host, whose health says nothing about this one. Nothing of the body is read. Runs in the event
loop, so that many probes of services that hang hold no thread.
"""

import asyncio
import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

TIMEOUT: Final = 2.0
"""Seconds for one probe, from the look-up of the name to the status line."""

_MOST_INTERIM_ANSWERS = 5
_WELL_BELOW = 400
_FINAL_FROM = 200
_SAFE = "/%?:@!$&'()*+,;=~-._[]"  # what a URL may hold as it is, or holds encoded already
_LINE_LIMIT = 8192  # bytes


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one probe found: `reason` says it in words for people."""

    is_healthy: bool
    reason: str
    status: int | None = None


async def probe(url: str, *, timeout: float = TIMEOUT) -> ProbeResult:  # noqa: ASYNC109 - one number for all steps
    """Ask once. Never raises for anything that the service, its name or its certificate does."""
    address = urlsplit(url)
    try:
        async with asyncio.timeout(timeout):
            status = await _ask(address)
    except TimeoutError:
        return ProbeResult(False, f"No answer within {timeout:g} s.")
    except ssl.SSLCertVerificationError as error:
        return ProbeResult(False, f"The certificate is not valid: {error.verify_message}.")
    except ConnectionRefusedError:
        return ProbeResult(False, "The connection was refused.")
    except (OSError, ValueError) as error:
        return ProbeResult(False, f"The connection failed ({type(error).__name__}).")
    return ProbeResult(status < _WELL_BELOW, f"HTTP {status}.", status)


async def _ask(address: SplitResult) -> int:
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
        # Not closed in order: a peer that never answers a TLS goodbye would hold the probe past its time.
        writer.transport.abort()
    raise ValueError("only interim answers")


def _request(address: SplitResult) -> bytes:
    path = quote((address.path or "/") + (f"?{address.query}" if address.query else ""), safe=_SAFE)
    host = address.netloc.rpartition("@")[2]
    lines = (f"GET {path} HTTP/1.1", f"Host: {host}", "User-Agent: ims-probe", "Accept: */*", "Connection: close")
    return "\r\n".join((*lines, "", "")).encode("ascii", "strict")


def _status(line: bytes) -> int:
    """The status of an answer's first line. Raises ValueError if it is no HTTP."""
    version, _, rest = line.decode("latin-1").partition(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError("no HTTP")
    return int(rest[:3])


async def _skip_headers(reader: asyncio.StreamReader) -> None:
    while (await reader.readline()).strip():
        pass
