"""Bases of the models of the REST API: requests, changes and responses."""

from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

Item = TypeVar("Item")


class RequestModel(BaseModel):
    """Base of a request body. An unknown field is an error, since it is usually a typing mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


def _as_changes(schema: dict[str, Any]) -> None:
    schema["minProperties"] = 1
    for described in schema["properties"].values():
        described.pop("default", None)


class Changes(RequestModel):
    """Base of a partial update: fields that are left out keep their value, and at least one field must be given."""

    model_config = ConfigDict(json_schema_extra=_as_changes)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise PydanticCustomError("nothing", "must name at least one field to change")
        return self

    @property
    def named(self) -> dict[str, Any]:
        """The fields that the request names, with their new values as JSON."""
        return self.model_dump(mode="json", exclude_unset=True)


class ResponseModel(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class Listing(ResponseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next: Annotated[str | None, Field(description="Send it as `cursor` for the next page; null on the last one.")] = (
        None
    )
