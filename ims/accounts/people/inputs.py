"""Validation of accounts, teams and passwords."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from ims.core.errors import FieldError, Invalid
from ims.core.principal import Role
from ims.core.validation import Input, one_line

NAME_LENGTH: Final = 128
TEAM_LENGTH: Final = 128
EMAIL_LENGTH: Final = 254
PASSWORD_LEAST: Final = 12
"""Length protects against guessing; rules about kinds of characters do not (NIST SP 800-63B)."""
PASSWORD_MOST: Final = 256
"""Upper bound, since hashing megabytes would be a way to overload IMS."""

NAME_PATTERN: Final = r"[a-z0-9][a-z0-9._@+'#-]*"
"""Also the user names of Entra ID and Okta, which look like e-mail addresses; a guest of Entra ID has a `#`."""
_NAME: Final = re.compile(NAME_PATTERN)
# Good enough to find a typing mistake; only a delivered message shows whether an address works.
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(
            "must consist of lower-case letters, digits and . _ - @ + ' #, and begin with a letter or digit, such as "
            "alice or alice@example.org"
        )
    return value


def _email(value: str) -> str:
    if value and not _EMAIL.fullmatch(value):
        raise ValueError("must be an e-mail address such as alice@example.org")
    return one_line(value)


def team_name(value: str) -> str:
    """Check the name of a team, which must be usable as one segment of a URL's path. Raises `ValueError`."""
    if "/" in value or value in (".", ".."):
        raise ValueError("must not contain a slash or be . or ..; use a name such as payments")
    return one_line(value)


AccountName = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH), AfterValidator(_name)]
Email = Annotated[str, Field(max_length=EMAIL_LENGTH), AfterValidator(_email)]
TeamName = Annotated[str, Field(min_length=1, max_length=TEAM_LENGTH), AfterValidator(one_line)]


class NewAccount(Input):
    """An account that an administrator creates. An empty `email` means none."""

    name: AccountName
    role: Role = Role.RESPONDER
    email: Email = ""
    teams: tuple[TeamName, ...] = ()


class Description(Input):
    """The editable fields of an account, with their present or new values."""

    role: Role
    email: Email = ""


class NewTeam(Input):
    name: Annotated[TeamName, AfterValidator(team_name)]


def check_password(password: str, field: str = "password") -> str:
    """Check a new password and return it. Raises `Invalid`, which names `field`."""
    if len(password) < PASSWORD_LEAST:
        raise Invalid(fields=[FieldError(field, f"must have at least {PASSWORD_LEAST} characters")])
    if len(password) > PASSWORD_MOST:
        raise Invalid(fields=[FieldError(field, f"may have at most {PASSWORD_MOST} characters")])
    try:
        password.encode()
    except UnicodeEncodeError:
        raise Invalid(fields=[FieldError(field, "must be text in UTF-8")]) from None
    return password
