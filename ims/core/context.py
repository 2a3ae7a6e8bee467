"""In whose name and from where a use case is called."""

from dataclasses import dataclass

from ims.core.actors import Actor


@dataclass(frozen=True, slots=True)
class Origin:
    """Who does something, and from where."""

    actor: Actor
    address: str | None = None
    request_id: str | None = None

    @property
    def who(self) -> str:
        """Who, where one word has to do: `alice` from a page, `cli:root` from a command on this machine."""
        return self.actor.name if self.address is not None else f"cli:{self.actor.name}"
