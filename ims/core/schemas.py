"""Bases of the models by which programs talk with IMS: what they may send, and what they are shown."""

from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

Item = TypeVar("Item")


class RequestModel(BaseModel):
    """Base of what a request may say. A name that is not known is an error: it is a typing mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


def _as_changes(schema: dict[str, Any]) -> None:
    schema["minProperties"] = 1
    for described in schema["properties"].values():
        described.pop("default", None)


class Changes(RequestModel):
    """Base of what a request may change: what is left out stays, so a default is none; at least one thing is named."""

    model_config = ConfigDict(json_schema_extra=_as_changes)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise PydanticCustomError("nothing", "must name something to change")
        return self

    @property
    def named(self) -> dict[str, Any]:
        """What is to be changed, with the new values as JSON."""
        return self.model_dump(mode="json", exclude_unset=True)


class ResponseModel(BaseModel):
    """Base of what is answered."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class Listing(ResponseModel, Generic[Item]):
    """A page of a list."""

    items: list[Item]
    next: Annotated[str | None, Field(description="Send it as `cursor` for the next page; null on the last one.")] = (
        None
    )
