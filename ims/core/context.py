"""The context of a use case: one transaction, the principal, the origin of the request, and the time."""

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
    """Where a request came from; both fields are None for a command on this machine and for IMS itself."""

    address: str | None = None
    """IP address of the client; X-Forwarded-For counts only if a trusted proxy sent it."""
    request_id: str | None = None
    """The id that the programs' logs carry, too."""


class ScopeTooNarrow(Forbidden):
    """The scope of this token does not allow this: create a token with a wider scope."""


@dataclass(frozen=True, slots=True)
class Context:
    """One transaction, the principal, the origin of the request, and the time.

    A door (page, REST, command, worker) makes a context and calls one use case with it. The use case authorises the
    principal, makes the change, and writes timeline, audit log and jobs in the same transaction, so that all doors
    behave alike.
    """

    session: Session
    principal: Principal
    origin: Origin
    now: datetime

    @property
    def actor(self) -> Actor:
        """The actor that timelines and the audit log name."""
        return self.principal.actor

    @property
    def who(self) -> str:
        """The actor as one string: `alice`, or `cli:root` for a command on this machine."""
        return self.actor.name if self.origin.address is not None else f"cli:{self.actor.name}"

    def acting_as(self, principal: Principal) -> Self:
        """A copy with another principal, such as the account of a sign-in once its password was verified."""
        return replace(self, principal=principal)

    def require(self, least: Role) -> None:
        """Raise `Forbidden` unless the principal has this role or a higher one, and `ScopeTooNarrow` for a token.

        Use cases change something, so a token with scope `read` is always too narrow, whatever the role.
        """
        if not self.principal.has_role(least):
            raise Forbidden
        self.require_scope(scope_for(least, is_safe=False))

    def require_scope(self, least: Scope) -> None:
        """Raise `ScopeTooNarrow` if the principal is a token whose scope does not include `least`."""
        if not self.principal.has_scope(least):
            raise ScopeTooNarrow

    def after_commit(self, count: Callable[[], None]) -> None:
        """Call `count` once the transaction has committed, and never after a rollback: metrics count what happened."""
        waiting = [count]

        def committed(session: Session) -> None:
            # SQLAlchemy also calls this for a savepoint, whose changes may still be rolled back.
            if waiting and not session.in_nested_transaction():
                waiting.pop()()

        event.listen(self.session, "after_commit", committed)
