"""Who sends: a bearer token belongs to one source."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ims.accounts.passwords import hash_token
from ims.alerts.queries import source_of_token
from ims.db.engine import Database
from ims.errors import Unauthenticated
from ims.queue import utc_now

REMEMBERED_SECONDS = 5.0
"""How long a token that was valid is believed without asking: a revoked one works this long at most."""


class TokenWrong(Unauthenticated):
    """Send a valid token of a source: `Authorization: Bearer …`."""


@dataclass(slots=True)
class Tokens:
    """Finds the source of a token. What is compared is the token's hash, so timing tells nothing about a token."""

    database: Database
    monotonic: Callable[[], float] = time.monotonic
    # Only valid tokens are remembered: wrong ones could fill the memory.
    _known: dict[bytes, tuple[str, float]] = field(default_factory=dict)

    def source(self, authorization: str | None) -> str:
        """Name of the source that a header `Authorization` proves. Raises `TokenWrong` and `DatabaseAway`."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise TokenWrong
        hashed = hash_token(token.strip())
        source, until = self._known.get(hashed, ("", 0.0))
        if self.monotonic() < until:
            return source
        return self._look_up(hashed)

    def _look_up(self, hashed: bytes) -> str:
        with self.database.begin() as session:
            source = source_of_token(session, hashed, utc_now())
        if source is None:
            self._known.pop(hashed, None)
            raise TokenWrong
        self._known[hashed] = (source, self.monotonic() + REMEMBERED_SECONDS)
        return source
