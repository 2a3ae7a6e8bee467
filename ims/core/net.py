"""Addresses of peers: where a request really comes from."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

MOST_HOPS: Final = 32
"""Longest chain of proxies that is looked at."""

Address = IPv4Address | IPv6Address
AnyNetwork = IPv4Network | IPv6Network


def client_address(peer: str | None, forwarded: Sequence[str], trusted: Sequence[AnyNetwork]) -> Address | None:
    """Where a request really comes from, None if that cannot be told.

    `peer` is the other end of the connection, `forwarded` the values of the headers X-Forwarded-For in their order.
    Each proxy adds the address that it saw at the end, so the list is read from there, and only for as long as the
    teller is one of our own proxies: everything before was written by somebody else, who can write what he likes.
    """
    address = read_address(peer or "")
    hops = [hop for value in forwarded for hop in value.split(",")][-MOST_HOPS:]
    while hops and address is not None and is_within(address, trusted):
        address = read_address(hops.pop())
    return address


def read_address(text: str) -> Address | None:
    """An address as proxies write it: with a port, in brackets, or mapped into IPv6. None if it is none."""
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


def is_within(address: Address, networks: Sequence[AnyNetwork]) -> bool:
    """Whether an address belongs to one of the networks."""
    return any(address in network for network in networks)
