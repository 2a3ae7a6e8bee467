"""Fields that several API operations share."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

_LONGEST_TIME: Final = 40
MOST_COUNTED: Final = 2**31 - 1
"""The largest sequence number of an event that the database can store."""
MOST_ID: Final = 10**18 - 1
_WHOLE_NUMBER: Final = re.compile(r"-?[0-9]{1,18}")


def _whole_number(given: Any) -> Any:
    """Query and path parameters are strings."""
    if not isinstance(given, str):
        return given
    if not _WHOLE_NUMBER.fullmatch(given):
        raise PydanticCustomError("whole_number", "must be a whole number")
    return int(given)


def _json_whole_number(given: Any) -> Any:
    """In JSON Schema 5.0 is an integer; a string or a boolean is not."""
    if isinstance(given, float) and given.is_integer():
        return int(given)
    if isinstance(given, bool) or not isinstance(given, int):
        raise PydanticCustomError("whole_number", "must be a whole number")
    return given


def _yes_or_no(given: Any) -> Any:
    values = {"true": True, "false": False}
    if not isinstance(given, str):
        return given
    if given not in values:
        raise PydanticCustomError("yes_or_no", "must be true or false")
    return values[given]


def _moment(given: Any) -> datetime:
    if isinstance(given, datetime):
        return given
    try:
        if not isinstance(given, str) or len(given) > _LONGEST_TIME or len(given) < len("2026-03-01T12:00:00Z"):
            raise ValueError
        # A plus sign that was not escaped in the query string arrives as a space.
        moment = datetime.fromisoformat(given.strip().upper().replace(" ", "+"))
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise PydanticCustomError("moment", "must be a time with a time zone, such as 2026-03-01T12:00:00Z") from None


def one_or_many(given: Any) -> Any:
    """A repeatable parameter that was given once becomes a list."""
    return given if isinstance(given, list) else [given]


READ_NUMBER: Final = BeforeValidator(_whole_number)
"""Must be last in an annotation, so that the bounds before it become part of the schema."""
WHOLE_NUMBER: Final = BeforeValidator(_json_whole_number)
"""The same for a field of a JSON body."""
YesOrNo = Annotated[bool | None, BeforeValidator(_yes_or_no)]
"""A query parameter that is true, false, or not given."""
Id = Annotated[int, Field(ge=1, le=MOST_ID, examples=[1]), READ_NUMBER]
"""The numeric id of a row, in a path."""
Moment = Annotated[datetime, BeforeValidator(_moment)]
Limit = Annotated[int, Field(ge=1, le=200, description="Maximum number of items in the page."), READ_NUMBER]
Cursor = Annotated[
    str | None,
    Field(max_length=500, description="`next` of the previous page. Send the same filters and sort order."),
]
Since = Annotated[
    Moment | None, Field(description="Only from this time on, RFC 3339.", examples=["2026-03-01T00:00:00Z"])
]
Until = Annotated[
    Moment | None, Field(description="Only before this time, RFC 3339.", examples=["2026-04-01T00:00:00Z"])
]
