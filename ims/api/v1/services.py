"""REST API: services."""

from typing import Annotated, Final

from pydantic import Field

from ims.api.listing import PageQuery
from ims.api.operations import Group
from ims.api.v1.schemas.services import ServiceList, ServiceResponse, show_service
from ims.core.errors import NotFound, Unprocessable
from ims.http.resources import clock, transaction
from ims.incidents.inputs import Name
from ims.incidents.queries import unresolved_incidents
from ims.policy.parts import NAME_LENGTH
from ims.reports.service_status import KnownService, ServiceStatus, read_service_statuses

api: Final = Group("Services", "The services of the inventory and their current state.")

ServiceName = Annotated[
    str,
    Field(
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]*$",
        max_length=NAME_LENGTH,
        description="The inventory host.",
        examples=["checkout"],
    ),
]
_Only = Annotated[Name, Field(description="Only services with this value.")]


class ServiceQuery(PageQuery):
    """Filters of the list of services."""

    state: Annotated[ServiceStatus | None, Field(description="Only services in this state.")] = None
    team: _Only = ""
    environment: _Only = ""

    def matches(self, known: KnownService) -> bool:
        service = known.service
        return (
            self.state in (None, known.status)
            and self.team in ("", service.team)
            and self.environment in ("", service.service_environment)
        )


@api.get("/services", answers=ServiceList, raises=(Unprocessable,), example_query="state=firing")
def list_all(query: ServiceQuery) -> ServiceList:
    """List services.

    The services of the active policy, by name, paginated. Filters are combined with AND.
    """
    after = query.after
    with transaction() as session:
        known = [one for one in read_service_statuses(session, clock()) if query.matches(one) and one.name > after]
        incidents = unresolved_incidents(session, [one.name for one in known[: query.limit]])
    return query.page(
        ServiceList, known, lambda one: one.name, lambda one: show_service(one, incidents.get(one.name, []))
    )


@api.get("/services/{name}", answers=ServiceResponse)
def one(name: ServiceName) -> ServiceResponse:
    """Get a service.

    Its description in the inventory and its current state.
    """
    with transaction() as session:
        found = next((known for known in read_service_statuses(session, clock()) if known.name == name), None)
        if found is None:
            raise NotFound(f"There is no service {name}.")
        return show_service(found, unresolved_incidents(session, [name]).get(name, []))
