"""Entries of the audit log."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from ims.core.actors import ActorKind
from ims.core.schemas import Listing, ResponseModel


class AuditEntryResponse(ResponseModel):
    """One change by a user, a token or a command."""

    id: int
    at: datetime
    actor_kind: ActorKind
    actor: Annotated[str, Field(examples=["alice (T-3)"])]
    address: Annotated[str | None, Field(description="Client address of the request; null for `ims admin`.")]
    request_id: Annotated[str | None, Field(description="The same id is in the log of IMS.")]
    action: Annotated[str, Field(description="Object and verb, such as `user.disabled`.")]
    object_kind: str
    object: Annotated[str, Field(examples=["INC-42"])]
    before: Annotated[dict[str, Any] | None, Field(description="Values before the change.")]
    after: Annotated[dict[str, Any] | None, Field(description="Values after the change.")]


class AuditList(Listing[AuditEntryResponse]):
    """A page of the audit log."""
