"""Services: their description in the inventory and their current state."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from pydantic import Field

from ims.core.schemas import Listing, ResponseModel
from ims.reports.service_status import KnownService, ServiceStatus


class ServiceMaintenance(ResponseModel):
    """The maintenance window that covers the service now."""

    window: str
    until: datetime


class ServiceResponse(ResponseModel):
    """A service. A field is null if the inventory does not set it."""

    name: Annotated[str, Field(description="The inventory host: the target of runs.")]
    service: Annotated[str, Field(description="The logical service; several hosts can be instances of one.")]
    description: str | None
    environment: str
    team: str | None
    owner: str | None
    runbook: Annotated[str | None, Field(description="A URL, or a path in the repository.")]
    url: Annotated[str | None, Field(description="The URL that is probed.")]
    instances: Annotated[list[str], Field(description="Values of the label `instance` that identify this service.")]
    platform: Annotated[str | None, Field(description="The platform that runs it, such as systemd.")]
    unit: Annotated[str, Field(description="Its name on the platform.")]
    machine: Annotated[str | None, Field(description="Inventory host of its machine.")]
    recovery: Annotated[str, Field(description="What restarts it: `ims`, `platform` or `manual`.")]
    worker_pool: Annotated[str, Field(description="Worker pool of its runs.", examples=["default"])]
    state: Annotated[
        ServiceStatus,
        Field(
            description="`healing`: a run is active; `firing`: it has a firing alert; `maintenance`: a window covers "
            "it; `unknown`: every source of alerts is stale or disabled; `healthy`: none of these."
        ),
    ]
    incidents: Annotated[list[str], Field(description="Its unresolved incidents, newest first, at most 20.")]
    unresolved: Annotated[int, Field(description="Number of its unresolved incidents.")]
    run: Annotated[str | None, Field(description="Its active run.", examples=["R-7"])]
    maintenance: ServiceMaintenance | None


class ServiceList(Listing[ServiceResponse]):
    """A page of the list of services."""


def show_service(known: KnownService, incidents: Sequence[int]) -> ServiceResponse:
    """`incidents` are the numbers of its unresolved incidents."""
    service = known.service
    same = ("name", "service", "description", "team", "owner", "runbook", "url", "platform", "unit", "machine")
    maintenance = (
        ServiceMaintenance(window=known.window, until=known.window_ends)
        if known.window is not None and known.window_ends is not None
        else None
    )
    return ServiceResponse(
        **{name: getattr(service, name) for name in same},
        environment=service.service_environment,
        instances=list(service.instances),
        recovery=service.service_recovery,
        worker_pool=service.worker_pool,
        state=known.status,
        incidents=[f"INC-{number}" for number in incidents],
        unresolved=known.unresolved,
        run=f"R-{known.run}" if known.run is not None else None,
        maintenance=maintenance,
    )
