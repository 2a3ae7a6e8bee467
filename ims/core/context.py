"""With what a use case is called: one transaction, who asks, from where, and when."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from sqlalchemy import event
from sqlalchemy.orm import Session

from ims.core.actors import Actor
from ims.core.errors import Forbidden
from ims.core.principal import Principal, Role, Scope, scope_for


@dataclass(frozen=True, slots=True)
class Origin:
    """From where something is done: nowhere, if it is a command on this machine or IMS itself."""

    address: str | None = None
    """Of the client, as far as trusted proxies tell it."""
    request_id: str | None = None
    """The same id stands in the programs' logs."""


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
        return self.principal.actor

    @property
    def who(self) -> str:
        """Who, where one word has to do: `alice`, or `cli:root` for a command on this machine."""
        return self.actor.name if self.origin.address is not None else f"cli:{self.actor.name}"

    def acting_as(self, principal: Principal) -> Self:
        """The same for another principal: whoever signs in is somebody only once the password was right."""
        return replace(self, principal=principal)

    def require(self, least: Role) -> None:
        """Raises `Forbidden` unless the principal has this role or more, and `ScopeTooNarrow` for a token's scope.

        Use cases change something: a token that may only read is too narrow, whatever the role.
        """
        if not self.principal.has_role(least):
            raise Forbidden
        self.require_scope(scope_for(least, is_safe=False))

    def require_scope(self, least: Scope) -> None:
        """Raises `ScopeTooNarrow` unless the token, if it is one, was made for this."""
        if not self.principal.has_scope(least):
            raise ScopeTooNarrow

    def after_commit(self, count: Callable[[], None]) -> None:
        """Call `count` once the transaction is committed, and never if it is not: metrics tell what happened."""
        waiting = [count]

        def committed(session: Session) -> None:
            # SQLAlchemy also calls this for a savepoint, whose changes may still be rolled back.
            if waiting and not session.in_nested_transaction():
                waiting.pop()()

        event.listen(self.session, "after_commit", committed)
