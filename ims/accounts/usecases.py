"""Signing in by name and password."""

from datetime import datetime
from functools import cache
from typing import Final

from sqlalchemy.orm import Session

from ims.accounts.passwords import hash_password, is_password
from ims.accounts.queries import account_by_name, is_account
from ims.audit.log import record
from ims.core.actors import SYSTEM, Actor, ActorKind
from ims.core.context import Origin
from ims.core.principal import Account

UNKNOWN: Final = "unknown"
"""Stands for a name that no account has: people type their password into the wrong field."""


@cache
def nobodys_hash() -> str:
    """Compared against when there is no such account, so that an unknown name takes as long as a wrong password."""
    return hash_password("nobody signs in with this")


def sign_in(
    session: Session, name: str, password: str, address: str | None, request_id: str | None, now: datetime
) -> Account | None:
    """The account of this name and password, or none.

    The answer takes the same time whether the name is unknown, its account is disabled or has no password, or the
    password is wrong: one comparison by argon2. Whoever is refused is nobody yet, so IMS is the actor of that entry.
    """
    found = account_by_name(session, name)
    stored = found[1] if found else None
    matches = is_password(stored or nobodys_hash(), password)
    if found and stored and matches:
        origin = Origin(Actor(ActorKind.PERSON, name), address, request_id)
        record(session, origin, "user.signed_in", name, now, after={"by": "password"})
        return found[0]
    known = name if is_account(session, name) else UNKNOWN
    record(session, Origin(SYSTEM, address, request_id), "user.sign_in_failed", known, now)
    return None
