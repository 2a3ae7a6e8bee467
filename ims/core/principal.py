"""The principal of a request and its permissions. Pure: nothing here knows HTTP or the database.

A role says what an account may do: viewers read, responders act on the incidents of their teams, administrators do
everything. A token acts for an account; its scope can only narrow what the role allows. Sessions have the widest scope.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self
from uuid import UUID

from ims.core.actors import SYSTEM, Actor, ActorKind
from ims.core.errors import Forbidden


class Role(StrEnum):
    """What an account may do; each role includes the one before it."""

    VIEWER = "viewer"
    RESPONDER = "responder"
    ADMIN = "admin"


class Scope(StrEnum):
    """What a token may do; each scope includes the one before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    def includes(self, other: "Scope") -> bool:
        """Whether a token with this scope may do everything that a token with scope `other` may."""
        return _SCOPES.index(self) >= _SCOPES.index(other)


_ROLES: Final = (Role.VIEWER, Role.RESPONDER, Role.ADMIN)
_SCOPES: Final = (Scope.READ, Scope.WRITE, Scope.ADMIN)


@dataclass(frozen=True, slots=True)
class Account:
    """An account that may sign in, without its password's hash."""

    id: UUID
    name: str
    role: Role
    session_generation: int
    teams: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated party behind a request, and its permissions. It is one of four:

    - an account, by its session or by one of its tokens;
    - a source, by its token, which may only send alerts;
    - a system account that runs `ims admin` where the database's password can be read, and so may do everything;
    - IMS itself.
    """

    actor: Actor
    """The actor that timelines and the audit log name."""
    name: str
    role: Role
    scope: Scope = Scope.ADMIN
    teams: frozenset[str] = frozenset()
    account_id: UUID | None = None
    """None for a source, the machine and IMS itself."""
    token: str | None = None
    """Name of the token (T-3); None for a session."""

    @classmethod
    def of_account(cls, account: Account, scope: Scope = Scope.ADMIN, token: str | None = None) -> Self:
        """An account, authenticated by its session, or by its token with this name and scope."""
        actor = (
            Actor(ActorKind.PERSON, account.name)
            if token is None
            else Actor(ActorKind.TOKEN, f"{account.name} ({token})")
        )
        return cls(actor, account.name, account.role, scope, account.teams, account.id, token)

    @classmethod
    def of_source(cls, source: str) -> Self:
        """A source of alerts: it has no account and no permission beyond sending alerts under its own name."""
        return cls(Actor(ActorKind.SENDER, source), source, Role.VIEWER, Scope.READ)

    @classmethod
    def of_machine(cls, user: str) -> Self:
        """The system account `user` that runs `ims admin` where the database's password can be read."""
        return cls(Actor(ActorKind.PERSON, user), user, Role.ADMIN)

    @classmethod
    def of_ims(cls) -> Self:
        """IMS itself, for what a worker does on its own."""
        return cls(SYSTEM, SYSTEM.name, Role.ADMIN)

    @property
    def account(self) -> UUID:
        """The account's id. Raises `Forbidden`: sources, the machine and IMS have no account of their own."""
        if self.account_id is None:
            raise Forbidden
        return self.account_id

    def has_role(self, least: Role) -> bool:
        """Whether the account has `least` or a role that includes it."""
        return _ROLES.index(self.role) >= _ROLES.index(least)

    def has_scope(self, least: Scope) -> bool:
        """Whether the scope includes `least`; always true for a session."""
        return self.scope.includes(least)

    def may_act_on(self, team: str | None, assignee: str | None) -> bool:
        """Whether the principal may act on an incident with this team and assignee.

        Responders act on incidents of their teams, on incidents assigned to them and on incidents without a team;
        administrators act on all.
        """
        if not self.has_role(Role.RESPONDER) or not self.has_scope(Scope.WRITE):
            return False
        return self.has_role(Role.ADMIN) or not team or team in self.teams or assignee == self.name


_WIDEST: Final = {Role.VIEWER: Scope.READ, Role.RESPONDER: Scope.WRITE, Role.ADMIN: Scope.ADMIN}


def widest_scope(role: Role) -> Scope:
    """The widest scope that makes sense for a token of an account with this role."""
    return _WIDEST[role]


def scope_for(role: Role, *, is_safe: bool) -> Scope:
    """The scope a token needs for an operation that requires `role`; `is_safe` means that it changes nothing."""
    if role is Role.ADMIN:
        return Scope.ADMIN
    return Scope.READ if is_safe else Scope.WRITE
