"""Reading the services of the active policy, and the known teams."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from ims.accounts.models import Team
from ims.policy.queries import active_policy
from ims.policy.schema import Service


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The services of the active revision, by name; `digest` is None before the first policy is loaded."""

    digest: str | None
    git_commit: str | None
    services: dict[str, Service]

    def find(self, name: str | None) -> Service | None:
        """A service by its inventory host, or by the logical name that its instances share."""
        if not name:
            return None
        if known := self.services.get(name):
            return known
        return next((service for service in self.services.values() if service.service == name), None)


def read_catalogue(session: Session) -> Catalogue:
    """The services of the active policy; none before the first one is loaded."""
    active = active_policy(session)
    if active is None:
        return Catalogue(None, None, {})
    return Catalogue(active.digest, active.git_commit, dict(active.policy.services))


def known_teams(session: Session) -> list[str]:
    """Stored teams, and those that the policy names for services, since incidents of these have such teams anyway."""
    of_services = {service.team for service in read_catalogue(session).services.values() if service.team}
    return sorted(of_services.union(session.scalars(select(Team.name))))
