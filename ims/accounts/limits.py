"""How often somebody may try a password.

Kept in the memory of one process: a restart forgets, and several processes count by themselves. That only makes the
limit a few times higher, which is no help for guessing.
"""

import threading
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field


@dataclass
class FailureLimit:
    """At most `most` failures of a key within `seconds`; more are told how long to wait."""

    most: int
    seconds: float
    keys_kept: int = 10_000
    _failures: dict[Hashable, deque[float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self, key: Hashable, now: float) -> float:
        """Seconds until `key` may try again; 0 is now. `now` is any steady clock in seconds."""
        with self._lock:
            recent = self._recent(key, now)
            if len(recent) < self.most:
                return 0
            return recent[0] + self.seconds - now

    def failed(self, key: Hashable, now: float) -> None:
        """Count one failure."""
        with self._lock:
            recent = self._recent(key, now)
            recent.append(now)
            # Forgetting the key that was heard first bounds the memory whatever is thrown at the page.
            self._failures.pop(key, None)
            self._failures[key] = recent
            while len(self._failures) > self.keys_kept:
                del self._failures[next(iter(self._failures))]

    def succeeded(self, key: Hashable) -> None:
        """Forget the failures of `key`."""
        with self._lock:
            self._failures.pop(key, None)

    def _recent(self, key: Hashable, now: float) -> deque[float]:
        recent = self._failures.get(key, deque(maxlen=self.most))
        while recent and recent[0] <= now - self.seconds:
            recent.popleft()
        return recent
