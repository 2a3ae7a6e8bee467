"""Bases of the models by which programs talk with IMS: what they may send, and what they are shown."""

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Item = TypeVar("Item")


class Given(BaseModel):
    """Base of what a request may say. A name that is not known is an error: it is a typing mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class Shown(BaseModel):
    """Base of what is answered."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class Listing(Shown, Generic[Item]):
    """A page of a list."""

    items: list[Item]
    next: Annotated[str | None, Field(description="Send it as `cursor` for the next page; null on the last one.")] = (
        None
    )
