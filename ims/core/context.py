"""With what a use case is called: one transaction, who asks, from where, and when."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import event
from sqlalchemy.orm import Session

from ims.core.actors import Actor
from ims.core.errors import Forbidden
from ims.core.principal import Principal, Role, scope_for


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


class ScopeTooNarrow(Forbidden):
    """This token was not made for that: create one with a wider scope."""


@dataclass(frozen=True, slots=True)
class Context:
    """One transaction, who asks, from where, and when.

    A door (page, REST, command, worker) makes one and calls one use case with it. The use case decides whether it may
    be, changes what is to be changed, and writes timeline, audit log and jobs in the same transaction, so no door can
    differ from another.
    """

    session: Session
    principal: Principal
    origin: Origin
    now: datetime

    @property
    def actor(self) -> Actor:
        """Who stands in timelines."""
        return self.origin.actor

    def require(self, least: Role) -> None:
        """Raises `Forbidden` unless the principal has this role or more, and `ScopeTooNarrow` for a token's scope."""
        if not self.principal.has_role(least):
            raise Forbidden
        if not self.principal.has_scope(scope_for(least, is_safe=least is Role.VIEWER)):
            raise ScopeTooNarrow

    def after_commit(self, count: Callable[[], None]) -> None:
        """Call `count` once the transaction is committed, and never if it is not: metrics tell what happened."""
        event.listen(self.session, "after_commit", lambda _session: count(), once=True)
