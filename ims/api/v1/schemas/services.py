"""A service as programs see it: what the inventory says of it, and how it is now."""

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
    """One service. What the inventory does not say is null."""

    name: Annotated[str, Field(description="The inventory host: the target of runs.")]
    service: Annotated[str, Field(description="The logical service, when several hosts are instances of one.")]
    description: str | None
    environment: str
    team: str | None
    owner: str | None
    runbook: Annotated[str | None, Field(description="A URL, or a path in the repository.")]
    url: Annotated[str | None, Field(description="What is probed.")]
    instances: Annotated[list[str], Field(description="Values of label `instance` that mean this service.")]
    platform: Annotated[str | None, Field(description="What runs it.")]
    unit: Annotated[str, Field(description="Its name at the platform.")]
    machine: Annotated[str | None, Field(description="Inventory host of the machine it runs on.")]
    recovery: Annotated[str, Field(description="Who restarts it: ims, platform or manual.")]
    worker_pool: Annotated[str, Field(description="Pool of the workers that take its runs.", examples=["default"])]
    state: Annotated[
        ServiceStatus,
        Field(
            description="`healing`: a run is at work on it; `firing`: an alert of it fires; `maintenance`: a window "
            "covers it; `unknown`: no source of alerts is heard, so nobody would notice; `healthy`: none of these."
        ),
    ]
    incidents: Annotated[list[str], Field(description="Its unresolved incidents, newest first, at most 20.")]
    unresolved: Annotated[int, Field(description="How many incidents of it are not resolved.")]
    run: Annotated[str | None, Field(description="The run at work on it.", examples=["R-7"])]
    maintenance: ServiceMaintenance | None


class ServiceList(Listing[ServiceResponse]):
    """A page of the list of services."""


def show_service(known: KnownService, incidents: Sequence[int]) -> ServiceResponse:
    """A service as programs see it; `incidents` are the numbers of those that are not resolved."""
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
