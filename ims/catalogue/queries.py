"""What the active policy says about services, and which of their incidents are not resolved."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import func, literal_column, select
from sqlalchemy.orm import Session

from ims.accounts.models import Team
from ims.incidents.models import Incident
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


def unresolved_incidents(session: Session, services: Iterable[str], most: int = 20) -> dict[str, list[int]]:
    """Numbers of the unresolved incidents of each of these services, newest first, `most` of each."""
    place = func.row_number().over(partition_by=Incident.service, order_by=Incident.number.desc()).label("place")
    ranked = (
        select(Incident.service, Incident.number, place)
        # Written out: of a parameter the planner does not know that it fits the index of unresolved ones.
        .where(Incident.status != literal_column("'resolved'"), Incident.service.in_(list(services)))
        .subquery()
    )
    query = select(ranked.c.service, ranked.c.number).where(ranked.c.place <= most).order_by(ranked.c.place)
    found: dict[str, list[int]] = {}
    for service, number in session.execute(query):
        found.setdefault(service, []).append(number)
    return found
