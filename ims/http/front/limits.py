"""How long a client may take, how much it may send and how many connections it may hold."""

from dataclasses import dataclass
from typing import Final, Self

from ims.core.net import AnyNetwork
from ims.core.settings import Settings

MOST_HEAD_BYTES: Final = 64 * 1024
"""Request line and headers together. The longest of ours is a search's address with a session's cookie: some 10 kB."""
MOST_HEADERS: Final = 100
MOST_FORM_BYTES: Final = 1024 * 1024
"""Largest body that ims-web takes."""
LEAST_BODY_BUDGET: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one serving process. Times are seconds, sizes are bytes."""

    most_body: int
    """Largest body that is read; the application gets only the size of a larger one, and refuses it."""
    header_seconds: float = 10
    body_seconds: float = 60
    keep_alive_seconds: float = 75
    """How long a connection may be idle between two requests."""
    answer_seconds: float = 30
    """How long a client may take nothing of an answer that waits for it."""
    connections: int = 2000
    connections_per_address: int = 500
    trusted_proxies: tuple[AnyNetwork, ...] = ()
    """A proxy brings everybody's connections, so none of these is counted by its address."""

    @classmethod
    def of(cls, settings: Settings, *, most_body: int, keep_alive_seconds: float) -> Self:
        """As the settings say."""
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
        """Bytes of unfinished bodies that a process holds at most."""
        return max(LEAST_BODY_BUDGET, 4 * self.most_body)
