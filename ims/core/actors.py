"""Who does something: stands in timelines and in the audit log."""

from dataclasses import dataclass
from enum import StrEnum


class ActorKind(StrEnum):
    """Who did what a timeline event tells."""

    PERSON = "person"
    TOKEN = "token"  # noqa: S105 - a kind, no secret
    """A program that acts for a person: `alice (T-3)`."""
    SENDER = "sender"
    RULE = "rule"
    RUN = "run"
    SYSTEM = "system"


HUMAN = frozenset({ActorKind.PERSON, ActorKind.TOKEN})
"""Whose actions count as a person's: a token acts for whoever made it."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something: a person by name, a token of a person, a rule, a run (R-7), a sender (source), or IMS."""

    kind: ActorKind
    name: str


SYSTEM = Actor(ActorKind.SYSTEM, "ims")
