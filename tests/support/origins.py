"""Who does it in tests: alice from a page, a command on this machine."""

from ims.core.actors import Actor, ActorKind
from ims.core.context import Origin

ALICE = Origin(Actor(ActorKind.PERSON, "alice"), "192.0.2.7", "request-1")
COMMAND = Origin(Actor(ActorKind.PERSON, "root"))
