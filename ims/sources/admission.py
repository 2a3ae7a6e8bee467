"""Admission: limits each source's networks and rate. Checked for each request before its body is read.

A request above the rate limit is answered 503, never 429: Alertmanager retries after a 5xx, but drops the notification
after a 4xx. A request from an address outside the source's networks is answered 403, since a retry would not help.
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
"""An idle source may send at once as many alerts as its rate allows in this time."""
LONGEST_WAIT: Final = 60.0
"""Most seconds in `Retry-After`; Alertmanager does not wait longer between two attempts anyway."""

REFUSED = Counter(
    "webhook_admission_refused", "Requests with a valid token that were refused by address or rate.", ["reason"]
)


class AddressRefused(Forbidden):
    """This source may not send from this address."""


class TooFast(IMSError):
    """This source exceeds its rate limit. Retry later."""

    status = 503

    def __init__(self, wait: float) -> None:
        super().__init__()
        self.retry_after = max(1, round(min(wait, LONGEST_WAIT)))
        """Seconds."""


@dataclass(slots=True)
class TokenBucket:
    """Fills by `rate` a second, up to ten seconds' worth. A request may overdraw it; then the next ones wait.

    So a batch larger than the bucket is accepted, too: a sender could never split it.
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
        """Seconds until the next request is admitted; 0 is now."""
        self.level = min(self._capacity, self.level + max(now - self.filled_at, 0) * self.rate)
        self.filled_at = now
        return 0.0 if self.level > 0 else max(-self.level / self.rate, 0.001)

    def take(self, amount: float) -> None:
        """Take tokens for `amount` alerts."""
        self.level -= amount


@dataclass(slots=True)
class Admission:
    """Admits requests, for one server process. Threads share it; each process counts on its own."""

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
        """Charge a request by its number of alerts; one without alerts costs as much as one alert."""
        if sender.rate_limit is not None:
            with self._lock:
                self._bucket(sender.name, sender.rate_limit).take(max(alerts, 1))

    def _bucket(self, source: str, rate: float) -> TokenBucket:
        bucket = self._buckets.get(source)
        if bucket is None or bucket.rate != rate:
            bucket = self._buckets[source] = TokenBucket(rate, self.clock())
        return bucket
