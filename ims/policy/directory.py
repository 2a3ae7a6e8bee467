"""The people and teams that a policy may name. The accounts are in the database, which a policy check need not have."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Directory:
    """Names of the accounts that are not disabled, and of the teams."""

    people: Collection[str]
    teams: Collection[str]
