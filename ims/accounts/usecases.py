"""Signing in by name and password."""

from functools import cache
from typing import Final

from ims.accounts.passwords import hash_password, is_password
from ims.accounts.queries import account_by_name, is_account
from ims.audit.log import record
from ims.core.context import Context
from ims.core.principal import Account, Principal

UNKNOWN: Final = "unknown"
"""Stands for a name that no account has: people type their password into the wrong field."""


@cache
def nobodys_hash() -> str:
    """Compared against when there is no such account, so that an unknown name takes as long as a wrong password."""
    return hash_password("nobody signs in with this")


def sign_in(context: Context, name: str, password: str) -> Account | None:
    """The account of this name and password, or none. Nobody is signed in yet: the context is IMS's own.

    The answer takes the same time whether the name is unknown, its account is disabled or has no password, or the
    password is wrong: one comparison by argon2. Whoever is refused stays nobody, so IMS is the actor of that entry.
    """
    found = account_by_name(context.session, name)
    stored = found[1] if found else None
    matches = is_password(stored or nobodys_hash(), password)
    if found and stored and matches:
        account = found[0]
        record(context.acting_as(Principal.of_account(account)), "user.signed_in", name, after={"by": "password"})
        return account
    known = name if is_account(context.session, name) else UNKNOWN
    record(context, "user.sign_in_failed", known)
    return None
