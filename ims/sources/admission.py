"""Who may send, from where, and how fast: decided for each request before its body is read.

What is ours is answered 503, never 429: Alertmanager comes again after a 5xx and drops what was answered 4xx. An
address that a source may not send from is 403, since coming again would not help.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from time import monotonic
from typing import Final

from prometheus_client import Counter

from ims.errors import Forbidden, IMSError
from ims.sources.tokens import AnyNetwork, Sender

BURST_SECONDS: Final = 10
"""A source that was quiet may send at once what its rate allows in this time."""
LONGEST_WAIT: Final = 60.0
"""Seconds; Alertmanager would not wait longer between two tries anyway."""
MOST_HOPS: Final = 32
"""Longest chain of proxies that is looked at."""

REFUSED = Counter("webhook_admission_refused", "Requests of valid senders that were not let in.", ["reason"])

Address = IPv4Address | IPv6Address


class AddressRefused(Forbidden):
    """This source may not send from this address."""


class TooFast(IMSError):
    """This source sends faster than it may. Send it again later."""

    status = 503

    def __init__(self, wait: float) -> None:
        super().__init__()
        self.retry_after = max(1, round(min(wait, LONGEST_WAIT)))
        """Seconds."""


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


@dataclass(slots=True)
class TokenBucket:
    """Fills by `rate` a second up to ten seconds' worth. A request may overdraw it, and the next ones wait.

    That way a batch larger than the bucket is taken, too: it could never be sent in smaller pieces.
    """

    rate: float
    filled_at: float
    level: float = field(init=False)

    def __post_init__(self) -> None:
        self.level = self._capacity

    @property
    def _capacity(self) -> float:
        return max(self.rate * BURST_SECONDS, 1.0)

    def wait(self, now: float) -> float:
        """Seconds until something may be sent; 0 is now."""
        self.level = min(self._capacity, self.level + max(now - self.filled_at, 0) * self.rate)
        self.filled_at = now
        return 0.0 if self.level > 0 else max(-self.level / self.rate, 0.001)

    def take(self, amount: float) -> None:
        """Something was sent."""
        self.level -= amount


@dataclass(slots=True)
class Admission:
    """Lets senders in, for one server process. Threads share it; each process counts by itself."""

    trusted_proxies: Sequence[AnyNetwork] = ()
    clock: Callable[[], float] = monotonic
    _buckets: dict[str, TokenBucket] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def let_in(self, sender: Sender, peer: str | None, forwarded: Sequence[str]) -> None:
        """Raises `AddressRefused` and `TooFast`."""
        if sender.networks:
            address = client_address(peer, forwarded, self.trusted_proxies)
            if address is None or not is_within(address, sender.networks):
                REFUSED.labels("address").inc()
                raise AddressRefused
        if sender.rate_limit is not None:
            with self._lock:
                wait = self._bucket(sender.name, sender.rate_limit).wait(self.clock())
            if wait > 0:
                REFUSED.labels("rate").inc()
                raise TooFast(wait)

    def charge(self, sender: Sender, alerts: int) -> None:
        """Count what a request brought; a request without alerts costs as much as one alert."""
        if sender.rate_limit is not None:
            with self._lock:
                self._bucket(sender.name, sender.rate_limit).take(max(alerts, 1))

    def _bucket(self, source: str, rate: float) -> TokenBucket:
        bucket = self._buckets.get(source)
        if bucket is None or bucket.rate != rate:
            bucket = self._buckets[source] = TokenBucket(rate, self.clock())
        return bucket
