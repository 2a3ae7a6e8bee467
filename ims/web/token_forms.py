"""Choices of the forms that create and rotate tokens, and how a choice is parsed."""

from datetime import timedelta
from typing import Final

from ims.core.errors import FieldError, Invalid
from ims.core.principal import Scope

LIFETIMES: Final = {"30": "30 days", "90": "90 days", "365": "1 year", "": "Never"}
"""Lifetimes of a token, by days."""
OVERLAPS: Final = {"3600": "1 hour", "86400": "24 hours", "604800": "7 days", "0": "0 (revoke it now)"}
"""How long a rotated token stays valid, by seconds."""


def chosen_lifetime(given: str) -> timedelta | None:
    """One of `LIFETIMES`; None: the token does not expire. Raises `Invalid`."""
    if given not in LIFETIMES:
        raise _not_offered("lifetime")
    return timedelta(days=int(given)) if given else None


def chosen_overlap(given: str) -> timedelta:
    """One of `OVERLAPS`. Raises `Invalid`."""
    if given not in OVERLAPS:
        raise _not_offered("overlap")
    return timedelta(seconds=int(given))


def chosen_scope(given: str) -> Scope:
    """Raises `Invalid`."""
    if given not in set(Scope):
        raise _not_offered("scope")
    return Scope(given)


def _not_offered(field: str) -> Invalid:
    return Invalid(fields=[FieldError(field, "must be one of the offered values")])
