"""How long a client may take, how much it may send and how many connections it may hold."""

from dataclasses import dataclass
from typing import Final, Self

from ims.core.net import AnyNetwork
from ims.core.settings import Settings

MOST_HEAD_BYTES: Final = 64 * 1024
"""Request line and headers together. IMS's own pages need at most some 10 kB: a search's URL and a session's cookie."""
MOST_HEADERS: Final = 100
MOST_FORM_BYTES: Final = 1024 * 1024
"""Largest body that ims-web accepts."""
LEAST_BODY_BUDGET: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one serving process. Times are seconds, sizes are bytes."""

    most_body: int
    """Largest body that is read. Of a larger one the application gets only the size, and answers 413."""
    header_seconds: float = 10
    body_seconds: float = 60
    keep_alive_seconds: float = 75
    """How long a connection may be idle between two requests."""
    answer_seconds: float = 30
    """How long a client may read nothing of an answer."""
    connections: int = 2000
    connections_per_address: int = 500
    trusted_proxies: tuple[AnyNetwork, ...] = ()
    """Networks of proxies. All clients share a proxy's address, so `connections_per_address` does not apply to it."""

    @classmethod
    def of(cls, settings: Settings, *, most_body: int, keep_alive_seconds: float) -> Self:
        """The limits that the settings give."""
        return cls(
            most_body=most_body,
            header_seconds=settings.request_header_seconds,
            body_seconds=settings.request_body_seconds,
            keep_alive_seconds=keep_alive_seconds,
            connections=settings.connections,
            connections_per_address=settings.connections_per_address,
            trusted_proxies=settings.trusted_networks,
        )

    @property
    def body_budget(self) -> int:
        """Maximum bytes of unfinished bodies that a process holds."""
        return max(LEAST_BODY_BUDGET, 4 * self.most_body)
