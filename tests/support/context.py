"""With what tests call use cases."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.orm import Session

from ims.core.actors import Actor
from ims.core.context import Context, Origin
from ims.core.principal import Principal, Role


def by(session: Session, actor: Actor, now: datetime, role: Role = Role.ADMIN, teams: Iterable[str] = ()) -> Context:
    """Somebody who asks from a test: an administrator unless `role` says something else."""
    principal = Principal(actor, actor.name, role, teams=frozenset(teams))
    return Context(session, principal, Origin(actor, "192.0.2.1", "request-1"), now)
