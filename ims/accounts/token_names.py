"""Names of tokens: T-3 for the token with id 3."""

from typing import Final

from ims.core.errors import NotFound

_MOST_ID: Final = 2**63


def token_name(token_id: int) -> str:
    return f"T-{token_id}"


def token_id(name: str) -> int:
    """The id of a token by its name, `T-3` or `3`. Raises `NotFound`."""
    digits = name.strip().upper().removeprefix("T-")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 19 or int(digits) >= _MOST_ID:
        raise NotFound("There is no such token: a token's name looks like T-3.")
    return int(digits)
