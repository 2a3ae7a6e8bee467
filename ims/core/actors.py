"""Actors: the people, tokens, senders, rules and runs that timelines and the audit log name."""

from dataclasses import dataclass
from enum import StrEnum


class ActorKind(StrEnum):
    """The kind of actor behind a timeline event."""

    PERSON = "person"
    TOKEN = "token"  # noqa: S105 - a kind, not a secret
    """A program that acts for a person by an API token: `alice (T-3)`."""
    SENDER = "sender"
    RULE = "rule"
    RUN = "run"
    SYSTEM = "system"


HUMAN = frozenset({ActorKind.PERSON, ActorKind.TOKEN})
"""Kinds whose actions count as a person's: a token acts for the account it belongs to."""


@dataclass(frozen=True, slots=True)
class Actor:
    """A person by name, a token of a person, a rule, a run (R-7), a sender (source), or IMS itself."""

    kind: ActorKind
    name: str


SYSTEM = Actor(ActorKind.SYSTEM, "ims")
