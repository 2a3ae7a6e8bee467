"""What may be written about accounts and teams."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from ims.core.errors import FieldError, Invalid
from ims.core.principal import Role
from ims.core.validation import Input, one_line

NAME_LENGTH: Final = 64
TEAM_LENGTH: Final = 128
EMAIL_LENGTH: Final = 254
PASSWORD_LEAST: Final = 12
"""Length is what helps against guessing; rules about kinds of characters do not (NIST SP 800-63B)."""
PASSWORD_MOST: Final = 256
"""Whoever wants to keep us busy could send megabytes to be hashed."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
# Good enough to find a slip; whether somebody reads it there only a message can tell.
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("must be lower-case letters, digits, dots, dashes and underscores, such as alice")
    return value


def _email(value: str) -> str:
    if value and not _EMAIL.fullmatch(value):
        raise ValueError("must be an address such as alice@example.org")
    return one_line(value)


def team_name(value: str) -> str:
    """The name, if a team may be called so: it has to stand as one part of an address. Raises `ValueError`."""
    if "/" in value or value in (".", ".."):
        raise ValueError("must have no slash and be neither . nor .., such as payments")
    return one_line(value)


AccountName = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH), AfterValidator(_name)]
Email = Annotated[str, Field(max_length=EMAIL_LENGTH), AfterValidator(_email)]
TeamName = Annotated[str, Field(min_length=1, max_length=TEAM_LENGTH), AfterValidator(one_line)]


class NewAccount(Input):
    """An account that an administrator makes. An empty address means none."""

    name: AccountName
    role: Role = Role.RESPONDER
    email: Email = ""
    teams: tuple[TeamName, ...] = ()


class Description(Input):
    """What of an account may be changed, all of it: as it is, or as it shall be."""

    role: Role
    email: Email = ""


class NewTeam(Input):
    """A team."""

    name: Annotated[TeamName, AfterValidator(team_name)]


def check_password(password: str, field: str = "password") -> str:
    """The password, if it may be one. Raises `Invalid` naming `field`."""
    if len(password) < PASSWORD_LEAST:
        raise Invalid(fields=[FieldError(field, f"must have at least {PASSWORD_LEAST} characters")])
    if len(password) > PASSWORD_MOST:
        raise Invalid(fields=[FieldError(field, f"may have at most {PASSWORD_MOST} characters")])
    try:
        password.encode()
    except UnicodeEncodeError:
        raise Invalid(fields=[FieldError(field, "must be text in UTF-8")]) from None
    return password
