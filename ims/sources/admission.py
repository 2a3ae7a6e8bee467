"""Who may send, from where, and how fast: decided for each request before its body is read.

What is ours is answered 503, never 429: Alertmanager comes again after a 5xx and drops what was answered 4xx. An
address that a source may not send from is 403, since coming again would not help.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from prometheus_client import Counter

from ims.core.errors import Forbidden, IMSError
from ims.core.net import AnyNetwork, client_address, is_within
from ims.sources.tokens import Sender

BURST_SECONDS: Final = 10
"""A source that was quiet may send at once what its rate allows in this time."""
LONGEST_WAIT: Final = 60.0
"""Seconds; Alertmanager would not wait longer between two tries anyway."""

REFUSED = Counter("webhook_admission_refused", "Requests of valid senders that were not let in.", ["reason"])


class AddressRefused(Forbidden):
    """This source may not send from this address."""


class TooFast(IMSError):
    """This source sends faster than it may. Send it again later."""

    status = 503

    def __init__(self, wait: float) -> None:
        super().__init__()
        self.retry_after = max(1, round(min(wait, LONGEST_WAIT)))
        """Seconds."""


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
