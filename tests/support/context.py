"""With what tests call use cases."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from ims.accounts.queries import account_by_name
from ims.core.actors import Actor, ActorKind
from ims.core.context import Context, Origin
from ims.core.principal import Principal, Role, Scope

ADDRESS: Final = "192.0.2.7"
ALICE: Final = Actor(ActorKind.PERSON, "alice")


def by(session: Session, actor: Actor, now: datetime, role: Role = Role.ADMIN, teams: Iterable[str] = ()) -> Context:
    """Somebody who asks from a test: an administrator unless `role` says something else."""
    principal = Principal(actor, actor.name, role, teams=frozenset(teams))
    return Context(session, principal, Origin(ADDRESS, "request-1"), now)


def by_command(session: Session, now: datetime) -> Context:
    """A command on this machine."""
    return Context(session, Principal.of_machine("root"), Origin(), now)


def by_ims(session: Session, now: datetime) -> Context:
    """IMS itself."""
    return Context(session, Principal.of_ims(), Origin(), now)


def by_source(session: Session, source: str, now: datetime) -> Context:
    """A source, by its token."""
    return Context(session, Principal.of_source(source), Origin(ADDRESS, "request-1"), now)


def by_account(
    session: Session, name: str, now: datetime, scope: Scope = Scope.ADMIN, token: str | None = None
) -> Context:
    """An account of the database, by its session or by a token of it."""
    found = account_by_name(session, name)
    assert found, f"{name} has no account"
    return Context(session, Principal.of_account(found[0], scope, token), Origin(ADDRESS, "request-1"), now)
