"""Who of several does what, so that each thing is done by one of them without asking the others.

Rendezvous hashing: every key goes to the member with the highest score for it. Whoever knows the same members agrees,
and when one comes or goes only its own keys move.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final


@dataclass(frozen=True, slots=True)
class Shard:
    """The part of all keys that is `member`'s."""

    member: str
    members: frozenset[str] = frozenset()

    def owns(self, key: str) -> bool:
        """Whether the key is this member's. One that is not among the members owns what it would own as one of them."""
        return max({*self.members, self.member}, key=lambda member: (_score(member, key), member)) == self.member


def _score(member: str, key: str) -> bytes:
    return blake2b(f"{member}\0{key}".encode(), digest_size=8).digest()


EVERYTHING: Final = Shard("")
"""The shard of one who is alone."""
