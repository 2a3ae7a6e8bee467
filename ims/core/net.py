"""The real address of a request's client, behind trusted proxies."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

MOST_HOPS: Final = 32
"""Longest chain of proxies that is evaluated."""

_HOST_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?")

Address = IPv4Address | IPv6Address
AnyNetwork = IPv4Network | IPv6Network


def client_address(peer: str | None, forwarded: Sequence[str], trusted: Sequence[AnyNetwork]) -> Address | None:
    """The real address of the client; None if it cannot be determined.

    `peer` is the other end of the connection, `forwarded` the values of the X-Forwarded-For headers in their order.
    Each proxy appends the address that it saw, so the list is read from its end, and only as far as a trusted proxy
    wrote it: everything before that may be forged by the client.
    """
    address = read_address(peer or "")
    hops = [hop for value in forwarded for hop in value.split(",")][-MOST_HOPS:]
    while hops and address is not None and is_within(address, trusted):
        address = read_address(hops.pop())
    return address


def read_address(text: str) -> Address | None:
    """Parse an address as proxies write it: with a port, in brackets, or mapped into IPv6. None if it is invalid."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def read_host(text: str) -> str:
    """The host of a listen address: a name or an IP address, IPv6 with or without brackets. Raises `ValueError`."""
    host = text.strip()
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if ":" in bare or bare != host:
        try:
            return str(IPv6Address(bare))
        except ValueError:
            raise ValueError(
                "must be an address or a name without a port, such as 127.0.0.1, ::1 or [::1]; the port has a setting "
                "of its own"
            ) from None
    if not _HOST_NAME.fullmatch(bare):
        raise ValueError("must be an address or a host name, such as 127.0.0.1, ::1 or localhost")
    return bare


def with_port(host: str, port: int) -> str:
    """`host:port` as in a URL: an IPv6 address is in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_within(address: Address, networks: Sequence[AnyNetwork]) -> bool:
    return any(address in network for network in networks)
