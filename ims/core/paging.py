"""Cursors of lists: where the next page begins, bound to the filter and the sort order of the list."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from ims.core.errors import FieldError, Unprocessable

Row = TypeVar("Row")

_DAMAGED: Final = FieldError("cursor", "is damaged: begin with the first page")
_MOST_DIGITS: Final = 18
# What PostgreSQL cannot store was never a position.
_STORABLE: Final = re.compile(r"[^\x00\ud800-\udfff]*")


def encode_cursor(position: Sequence[str], bound_to: Sequence[str]) -> str:
    """A cursor for a URL. `position` is the last row's key, `bound_to` the list's filter and sort order."""
    text = json.dumps([_digest(bound_to), *position], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str, bound_to: Sequence[str]) -> list[str]:
    """The position inside `cursor`.

    Raises `Unprocessable` when the cursor is damaged or was made for another filter or sort order, in which the
    position means something else.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        parts = None
    if not isinstance(parts, list) or not all(isinstance(part, str) and _STORABLE.fullmatch(part) for part in parts):
        raise Unprocessable(fields=[_DAMAGED])
    if parts[:1] != [_digest(bound_to)]:
        raise Unprocessable(fields=[FieldError("cursor", "belongs to another filter: begin with the first page")])
    return parts[1:]


def name_in(cursor: str | None, bound_to: Sequence[str]) -> str | None:
    """The name after which a list ordered by name continues; None for the first page. Raises `Unprocessable`."""
    if not cursor:
        return None
    position = decode_cursor(cursor, bound_to)
    if len(position) != 1:
        raise Unprocessable(fields=[_DAMAGED])
    return position[0]


def number_in(cursor: str | None, bound_to: Sequence[str]) -> int | None:
    """The number after which a list ordered by number continues; None for the first page. Raises `Unprocessable`."""
    found = name_in(cursor, bound_to)
    if found is not None and not (found.isascii() and found.isdecimal() and len(found) <= _MOST_DIGITS):
        raise Unprocessable(fields=[_DAMAGED])
    return None if found is None else int(found)


def cut(
    rows: Sequence[Row], limit: int, key: Callable[[Row], int | str], bound_to: Sequence[str]
) -> tuple[Sequence[Row], str | None]:
    """A page of `limit` rows and the next page's cursor. The caller reads one row more to show that there is a next."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], encode_cursor([str(key(rows[limit - 1]))], bound_to)


def _digest(bound_to: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(bound_to)).encode()).hexdigest()[:12]
