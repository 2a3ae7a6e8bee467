"""Signing in, and ending sessions."""

from functools import cache
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from ims.accounts.models import Role, UserAccount
from ims.accounts.passwords import hash_password, is_password
from ims.accounts.queries import Account


@cache
def nobodys_hash() -> str:
    """Compared against when there is no such account, so that an unknown name takes as long as a wrong password."""
    return hash_password("nobody signs in with this")


def sign_in(session: Session, name: str, password: str) -> Account | None:
    """The account of this name and password, or none; the answer takes the same time whichever was wrong."""
    row = session.scalars(select(UserAccount).where(UserAccount.name == name)).one_or_none()
    matches = is_password(row.password_hash if row else nobodys_hash(), password)
    if row is None or not matches or row.disabled_at is not None:
        return None
    return Account(row.id, row.name, Role(row.role), row.session_generation)


def end_sessions(session: Session, account_id: UUID) -> None:
    """Sign the account out everywhere: sessions of the generation before are not accepted."""
    session.execute(
        update(UserAccount)
        .where(UserAccount.id == account_id)
        .values(session_generation=UserAccount.session_generation + 1)
    )
