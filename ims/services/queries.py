"""What the active policy says about services, and which of their incidents are not resolved."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from ims.accounts.models import Team
from ims.policy.queries import active_policy
from ims.policy.schema import Service


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The services of the active revision, by name; `digest` is none before the first policy was loaded."""

    digest: str | None
    git_commit: str | None
    services: dict[str, Service]

    def find(self, name: str | None) -> Service | None:
        """The service, by inventory host or by the logical name its instances share."""
        if not name:
            return None
        if known := self.services.get(name):
            return known
        return next((service for service in self.services.values() if service.service == name), None)


def read_catalogue(session: Session) -> Catalogue:
    """The services people can choose from and read about."""
    active = active_policy(session)
    if active is None:
        return Catalogue(None, None, {})
    return Catalogue(active.digest, active.git_commit, dict(active.policy.services))


def known_teams(session: Session) -> list[str]:
    """Teams with accounts here, and those that the policy names for services: their incidents have them anyway."""
    of_services = {service.team for service in read_catalogue(session).services.values() if service.team}
    return sorted(of_services.union(session.scalars(select(Team.name))))
