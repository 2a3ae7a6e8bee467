"""Rendezvous hashing: divides keys among members without communication between them.

Every key goes to the member with the highest score for it. Members that know the same list of members agree on the
owner of each key, and when a member joins or leaves, only its own keys move.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final


@dataclass(frozen=True, slots=True)
class Shard:
    """The part of all keys that `member` owns."""

    member: str
    members: frozenset[str] = frozenset()

    def owns(self, key: str) -> bool:
        """Whether `member` owns the key. A member that is not listed owns the keys it would own if it were."""
        return max({*self.members, self.member}, key=lambda member: (_score(member, key), member)) == self.member


def _score(member: str, key: str) -> bytes:
    return blake2b(f"{member}\0{key}".encode(), digest_size=8).digest()


EVERYTHING: Final = Shard("")
"""The shard of a single member: all keys."""
