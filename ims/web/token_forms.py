"""What the forms that make and rotate tokens offer, and how what was chosen is read."""

from datetime import timedelta
from typing import Final

from ims.core.errors import FieldError, Invalid
from ims.core.principal import Scope

LIFETIMES: Final = {"30": "30 days", "90": "90 days", "365": "A year", "": "Until it is revoked"}
"""How long a token may work, by days."""
OVERLAPS: Final = {"3600": "1 hour", "86400": "24 hours", "604800": "7 days", "0": "Not at all"}
"""How long a rotated token may go on working, by seconds."""


def chosen_lifetime(given: str) -> timedelta | None:
    """One of `LIFETIMES`, None for no end. Raises `Invalid`."""
    if given not in LIFETIMES:
        raise _not_offered("lifetime")
    return timedelta(days=int(given)) if given else None


def chosen_overlap(given: str) -> timedelta:
    """One of `OVERLAPS`. Raises `Invalid`."""
    if given not in OVERLAPS:
        raise _not_offered("overlap")
    return timedelta(seconds=int(given))


def chosen_scope(given: str) -> Scope:
    """A scope. Raises `Invalid`."""
    if given not in set(Scope):
        raise _not_offered("scope")
    return Scope(given)


def _not_offered(field: str) -> Invalid:
    return Invalid(fields=[FieldError(field, "must be one of the offered values")])
