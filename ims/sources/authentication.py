"""Authentication of senders: each bearer token belongs to one source."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ims.accounts.passwords import hash_token
from ims.core.db.engine import Database
from ims.core.errors import Unauthenticated
from ims.sources.tokens import Sender, sender_of_token

REMEMBERED_SECONDS = 5.0
"""How long a valid token is cached: a revoked token, and old networks and rate limits of a source, work at most this
long."""


class TokenWrong(Unauthenticated):
    """A valid token of a source is required: `Authorization: Bearer …`."""


@dataclass(slots=True)
class Tokens:
    """Finds the source of a token. The token's hash is compared, so timing reveals nothing about the token."""

    database: Database
    monotonic: Callable[[], float] = time.monotonic
    # Only valid tokens are cached: invalid ones could fill the memory.
    _known: dict[bytes, tuple[Sender, float]] = field(default_factory=dict)

    def sender(self, authorization: str | None) -> Sender:
        """The sender whose token is in a header `Authorization`. Raises `TokenWrong` and `DatabaseAway`."""
        hashed = _hashed(authorization)
        if hashed is None:
            raise TokenWrong
        return self._remembered(hashed) or self._look_up(hashed)

    def remembered(self, authorization: str | None) -> Sender | None:
        """The same if it is known without a query, else None."""
        hashed = _hashed(authorization)
        return self._remembered(hashed) if hashed is not None else None

    def _remembered(self, hashed: bytes) -> Sender | None:
        known = self._known.get(hashed)
        return known[0] if known is not None and self.monotonic() < known[1] else None

    def _look_up(self, hashed: bytes) -> Sender:
        # Asked here, in a thread: what reads alerts on the loop of the webhook only counts on.
        now = self.database.now()
        with self.database.begin() as session:
            sender = sender_of_token(session, hashed, now)
        if sender is None:
            self._known.pop(hashed, None)
            raise TokenWrong
        self._known[hashed] = (sender, self.monotonic() + REMEMBERED_SECONDS)
        return sender


def _hashed(authorization: str | None) -> bytes | None:
    """The hash of the token in a header, if there is one."""
    scheme, _, token = (authorization or "").partition(" ")
    return hash_token(token.strip()) if scheme.lower() == "bearer" and token.strip() else None
