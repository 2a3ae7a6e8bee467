"""The connections of a process, and which of them goes when there are too many.

A new connection is never turned away for silent ones: the one that has been silent longest makes room, and those go
first that never asked anything. So whoever holds connections open without a word pushes out himself, and a health check
always finds its way in. Only when every connection has a request under way is a new one refused.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from ims.core.net import is_within, read_address
from ims.http.front.limits import Limits

Count = Callable[[str], None]
"""Counts a connection that a limit ended, by the limit's name."""


class Member(Protocol):
    """What is known here of a connection."""

    peer: str
    has_asked: bool
    """Whether a request of it was answered."""

    @property
    def is_busy(self) -> bool:
        """Whether it has a request under way."""

    def refuse(self, status: int, detail: str) -> None:
        """Answer that it cannot be, and end it."""

    def abort(self) -> None:
        """End it at once."""


M = TypeVar("M", bound=Member)


class Connections(Generic[M]):
    """All connections of a process, oldest first."""

    def __init__(self, limits: Limits, count: Count) -> None:
        self.limits = limits
        self._count = count
        self._all: dict[M, None] = {}
        self._by_address: dict[str, dict[M, None]] = defaultdict(dict)
        self._receiving: dict[M, int] = {}
        """Bytes of each unfinished body, in the order in which the bodies began."""
        self._received = 0
        self._proxies: dict[str, bool] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[M]:
        return iter(list(self._all))

    def let_in(self, connection: M) -> bool:
        """Take a new connection, if need be in place of a silent one; false if there is no room."""
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
        """A connection has ended."""
        self.body_done(connection)
        self._all.pop(connection, None)
        own = self._by_address.get(connection.peer)
        if own is not None:
            own.pop(connection, None)
            if not own:
                del self._by_address[connection.peer]

    def touched(self, connection: M) -> None:
        """It said a request to its end: it goes behind those that were silent longer."""
        for group in (self._all, self._by_address.get(connection.peer, {})):
            if connection in group:
                del group[connection]
                group[connection] = None

    def body_grew(self, connection: M, size: int) -> None:
        """Part of a body arrived. Whose body has been unfinished for longest goes when all of them are too large."""
        self._receiving[connection] = self._receiving.get(connection, 0) + size
        self._received += size
        while self._received > self.limits.body_budget and self._receiving:
            oldest = next(iter(self._receiving))
            self.body_done(oldest)
            self._count("bodies")
            oldest.refuse(503, "Too many large requests are under way. Send it again later.")

    def body_done(self, connection: M) -> None:
        """A body is whole, or will not be."""
        self._received -= self._receiving.pop(connection, 0)

    def free_one(self) -> bool:
        """End the connection that has been silent longest; false if each has a request under way."""
        return self._make_room(self._all, "files")

    def _make_room(self, group: dict[M, None], limit: str) -> bool:
        silent = next((one for one in group if not one.is_busy and not one.has_asked), None)
        silent = silent or next((one for one in group if not one.is_busy), None)
        if silent is None:
            return False
        self._count(limit)
        self.forget(silent)
        silent.abort()
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
