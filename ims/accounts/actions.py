"""Signing in, and ending sessions."""

from functools import cache
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.orm import Session

from ims.accounts.models import UserAccount
from ims.accounts.passwords import hash_password, is_password
from ims.accounts.permissions import Account
from ims.accounts.queries import account_by_name


@cache
def nobodys_hash() -> str:
    """Compared against when there is no such account, so that an unknown name takes as long as a wrong password."""
    return hash_password("nobody signs in with this")


def sign_in(session: Session, name: str, password: str) -> Account | None:
    """The account of this name and password, or none; the answer takes the same time whichever was wrong."""
    found = account_by_name(session, name)
    stored = found[1] if found else None
    matches = is_password(stored or nobodys_hash(), password)
    return found[0] if found and stored and matches else None


def end_sessions(session: Session, account_id: UUID) -> None:
    """Sign the account out everywhere: sessions of the generation before are not accepted."""
    session.execute(
        update(UserAccount)
        .where(UserAccount.id == account_id)
        .values(session_generation=UserAccount.session_generation + 1)
    )
