"""Reads the JSON of a request body."""

import json
from typing import Any, Final

from ims.core.errors import FieldError, Invalid, TooLarge

_GZIP: Final = b"\x1f\x8b"

LONGEST_INTEGER: Final = 400
"""Digits; a longer number is read as a float, since Python refuses to parse it as an integer."""


class NotJson(Invalid):
    """The body is not JSON."""

    def __init__(self, where: str) -> None:
        super().__init__(f"The body is not JSON: {where}.", fields=[FieldError("body", where)])


def read_json(body: bytes) -> Any:
    """Parse a body. Raises `NotJson`, and `TooLarge` when it is nested too deeply for the parser."""
    try:
        return json.loads(body, parse_int=_integer, parse_constant=_no_constant)
    except RecursionError:
        raise TooLarge("The body is nested too deeply.") from None
    except ValueError as error:
        raise NotJson(_fault(body, error)) from None


def _fault(body: bytes, error: ValueError) -> str:
    """Why a body is not JSON, and where; the message repeats nothing of the body itself."""
    if not body.strip():
        return "it is empty"
    if body.startswith(_GZIP):
        return "it is compressed, which is not supported: send it uncompressed"
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start + 1} is not valid {error.encoding.upper()}"
    if isinstance(error, json.JSONDecodeError):
        return f"syntax error at line {error.lineno}, column {error.colno}"
    return "JSON does not allow NaN and Infinity"


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_INTEGER else float(digits)


def _no_constant(name: str) -> None:
    """Refuse NaN and Infinity: JSON does not allow them."""
    raise ValueError(name)
