"""Sign-in by name and password."""

from functools import cache
from typing import Final

from ims.accounts.passwords import hash_password, is_password
from ims.accounts.queries import account_by_name, is_account
from ims.audit.log import record
from ims.core.context import Context
from ims.core.principal import Account, Principal

UNKNOWN: Final = "unknown"
"""Recorded instead of an unknown name, which may be a password that was typed into the wrong field."""


@cache
def dummy_hash() -> str:
    """The hash to compare with when there is no such account, so that an unknown name takes as long as a wrong
    password."""
    return hash_password("no account has this password")


def sign_in(context: Context, name: str, password: str) -> Account | None:
    """The account with this name and password, or None. The context's principal is IMS, as no account is signed in yet.

    The answer takes the same time whether the name is unknown, its account is disabled or has no password, or the
    password is wrong: one comparison by argon2. A failed sign-in is recorded with IMS as its actor.
    """
    found = account_by_name(context.session, name)
    stored = found[1] if found else None
    matches = is_password(stored or dummy_hash(), password)
    if found and stored and matches:
        account = found[0]
        record(context.acting_as(Principal.of_account(account)), "user.signed_in", name, after={"by": "password"})
        return account
    known = name if is_account(context.session, name) else UNKNOWN
    record(context, "user.sign_in_failed", known)
    return None
