"""Cursors of lists: where the next page begins, bound to the filter and the sort it was made for."""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence

from ims.errors import FieldError, Unprocessable


def encode_cursor(position: Sequence[str], bound_to: Sequence[str]) -> str:
    """A cursor for a URL. `position` is the last row's key, `bound_to` what the list was asked for."""
    text = json.dumps([_digest(bound_to), *position], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str, bound_to: Sequence[str]) -> list[str]:
    """The position inside `cursor`.

    Raises `Unprocessable` when it is damaged or was made for another filter or sort: its rows would not follow.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        parts = None
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise Unprocessable(fields=[FieldError("cursor", "is damaged: begin with the first page")])
    if parts[:1] != [_digest(bound_to)]:
        raise Unprocessable(fields=[FieldError("cursor", "belongs to another filter: begin with the first page")])
    return parts[1:]


def _digest(bound_to: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(bound_to)).encode()).hexdigest()[:12]
