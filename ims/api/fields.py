"""Fields that many operations of the API share."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

_LONGEST_TIME: Final = 40
MOST_COUNTED: Final = 2**31 - 1
"""The largest number of an event of one thing that the database can hold."""
MOST_ID: Final = 10**18 - 1
_WHOLE_NUMBER: Final = re.compile(r"-?[0-9]{1,18}")


def _whole_number(given: Any) -> Any:
    """Parameters of an address are texts."""
    if not isinstance(given, str):
        return given
    if not _WHOLE_NUMBER.fullmatch(given):
        raise PydanticCustomError("whole_number", "must be a whole number")
    return int(given)


def _json_whole_number(given: Any) -> Any:
    """In JSON 5.0 is the whole number 5; a text or true is none."""
    if isinstance(given, float) and given.is_integer():
        return int(given)
    if isinstance(given, bool) or not isinstance(given, int):
        raise PydanticCustomError("whole_number", "must be a whole number")
    return given


def _yes_or_no(given: Any) -> Any:
    words = {"true": True, "false": False}
    if not isinstance(given, str):
        return given
    if given not in words:
        raise PydanticCustomError("yes_or_no", "must be true or false")
    return words[given]


def _moment(given: Any) -> datetime:
    if isinstance(given, datetime):
        return given
    try:
        if not isinstance(given, str) or len(given) > _LONGEST_TIME or len(given) < len("2026-03-01T12:00:00Z"):
            raise ValueError
        # A plus sign that was not escaped in an address arrives as a space.
        moment = datetime.fromisoformat(given.strip().upper().replace(" ", "+"))
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise PydanticCustomError("moment", "must be a time with its zone, such as 2026-03-01T12:00:00Z") from None


def one_or_many(given: Any) -> Any:
    """A parameter that may be repeated, given once."""
    return given if isinstance(given, list) else [given]


READ_NUMBER: Final = BeforeValidator(_whole_number)
"""Stands last in an annotation: the bounds before it become part of the schema."""
WHOLE_NUMBER: Final = BeforeValidator(_json_whole_number)
"""The same for a member of a body."""
YesOrNo = Annotated[bool | None, BeforeValidator(_yes_or_no)]
"""A parameter of an address that is true, false, or not given."""
Id = Annotated[int, Field(ge=1, le=MOST_ID, examples=[1]), READ_NUMBER]
"""A number by which a row is known, in a path."""
Moment = Annotated[datetime, BeforeValidator(_moment)]
Limit = Annotated[int, Field(ge=1, le=200, description="Most items on the page."), READ_NUMBER]
Cursor = Annotated[
    str | None,
    Field(max_length=500, description="`next` of the page before; it belongs to the same filters and sort."),
]
Since = Annotated[Moment | None, Field(description="From this time on, RFC 3339.", examples=["2026-03-01T00:00:00Z"])]
Until = Annotated[Moment | None, Field(description="Before this time, RFC 3339.", examples=["2026-04-01T00:00:00Z"])]
