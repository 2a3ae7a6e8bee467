"""The connections of a process, and which of them is closed when there are too many.

At the limit, a new connection replaces an idle one: first the oldest of those that have never completed a request, then
the one that has been idle longest. So a client that opens connections without using them loses its own, and health
checks still get in. IMS refuses a new connection only if every other one has a request in progress.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from ims.core.net import is_within, read_address
from ims.http.front.limits import Limits

Count = Callable[[str], None]
"""Counts a connection that a limit ended, by the limit's name."""


class Member(Protocol):
    """What this module needs of a connection."""

    peer: str
    was_answered: bool
    """Whether a request on this connection was answered."""

    @property
    def is_busy(self) -> bool:
        """Whether a request has arrived and its answer is not complete."""

    def refuse(self, status: int, detail: str) -> None:
        """Answer with an error, then close the connection."""

    def abort(self) -> None:
        """Close the connection at once."""


M = TypeVar("M", bound=Member)


class Connections(Generic[M]):
    """All connections of a process, the one that has been idle longest first."""

    def __init__(self, limits: Limits, count: Count) -> None:
        self.limits = limits
        self._count = count
        self._all: dict[M, None] = {}
        self._by_address: dict[str, dict[M, None]] = defaultdict(dict)
        self._receiving: dict[M, int] = {}
        """Bytes received of each unfinished body, in the order in which the bodies began."""
        self._received = 0
        self._proxies: dict[str, bool] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[M]:
        return iter(list(self._all))

    def let_in(self, connection: M) -> bool:
        """Add a new connection, if necessary in place of an idle one; false if there is no room."""
        address = connection.peer
        own = self._by_address[address]
        is_counted = not self._is_proxy(address)
        if is_counted and len(own) >= self.limits.connections_per_address and not self._make_room(own, "address"):
            return False
        if len(self._all) >= self.limits.connections and not self._make_room(self._all, "total"):
            return False
        self._all[connection] = own[connection] = None
        return True

    def forget(self, connection: M) -> None:
        """Remove a connection that has ended."""
        self.body_done(connection)
        self._all.pop(connection, None)
        own = self._by_address.get(connection.peer)
        if own is not None:
            own.pop(connection, None)
            if not own:
                del self._by_address[connection.peer]

    def mark_recent(self, connection: M) -> None:
        """Move a connection whose request was answered to the end: it has been idle for the shortest time."""
        for group in (self._all, self._by_address.get(connection.peer, {})):
            if connection in group:
                del group[connection]
                group[connection] = None

    def body_grew(self, connection: M, size: int) -> None:
        """Count a received part of a body; while all bodies exceed the budget, refuse the one that began first."""
        self._receiving[connection] = self._receiving.get(connection, 0) + size
        self._received += size
        while self._received > self.limits.body_budget and self._receiving:
            oldest = next(iter(self._receiving))
            self.body_done(oldest)
            self._count("bodies")
            oldest.refuse(503, "Too many large requests are in progress. Send the request again later.")

    def body_done(self, connection: M) -> None:
        """Stop counting a body: it is complete, or the rest of it will not be read."""
        self._received -= self._receiving.pop(connection, 0)

    def free_one(self) -> bool:
        """Close the connection that has been idle longest; false if every connection has a request in progress."""
        return self._make_room(self._all, "files")

    def _make_room(self, group: dict[M, None], limit: str) -> bool:
        idle = next((one for one in group if not one.is_busy and not one.was_answered), None)
        idle = idle or next((one for one in group if not one.is_busy), None)
        if idle is None:
            return False
        self._count(limit)
        self.forget(idle)
        idle.abort()
        return True

    def _is_proxy(self, address: str) -> bool:
        if not self.limits.trusted_proxies:
            return False
        if address not in self._proxies:
            if len(self._proxies) > 10_000:
                self._proxies.clear()
            read = read_address(address)
            self._proxies[address] = read is not None and is_within(read, self.limits.trusted_proxies)
        return self._proxies[address]
