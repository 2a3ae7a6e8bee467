"""The JSON that a sender or a client puts into a body."""

import json
from typing import Any, Final

from ims.core.errors import FieldError, Invalid, TooLarge

_GZIP: Final = b"\x1f\x8b"

LONGEST_INTEGER: Final = 400
"""Digits; a longer number is read as a float, for Python refuses to read it as an integer."""


class NotJson(Invalid):
    """The body is not JSON."""

    def __init__(self, where: str) -> None:
        super().__init__(f"The body is not JSON: {where}.", fields=[FieldError("body", where)])


def read_json(body: bytes) -> Any:
    """The JSON in a body. Raises `NotJson`, and `TooLarge` when it is nested deeper than anything can be read."""
    try:
        return json.loads(body, parse_int=_integer, parse_constant=_no_constant)
    except RecursionError:
        raise TooLarge("The body is nested too deep.") from None
    except ValueError as error:
        raise NotJson(_fault(body, error)) from None


def _fault(body: bytes, error: ValueError) -> str:
    """What keeps a body from being JSON, and where; nothing of the body itself is repeated."""
    if not body.strip():
        return "it is empty"
    if body.startswith(_GZIP):
        return "it is compressed, which is not read: send it plain"
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start + 1} is no {error.encoding.upper()}"
    if isinstance(error, json.JSONDecodeError):
        return f"it goes wrong at line {error.lineno}, column {error.colno}"
    return "NaN and Infinity are no numbers of JSON"


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_INTEGER else float(digits)


def _no_constant(name: str) -> None:
    """NaN and Infinity are no JSON."""
    raise ValueError(name)
