"""Reading accounts."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from ims.accounts.models import Role, UserAccount


@dataclass(frozen=True, slots=True)
class Account:
    """An account that may sign in, without its password's hash."""

    id: UUID
    name: str
    role: Role
    session_generation: int


def account_by_id(session: Session, account_id: UUID) -> Account | None:
    """The account, unless it is gone or disabled."""
    row = session.get(UserAccount, account_id)
    if row is None or row.disabled_at is not None:
        return None
    return Account(row.id, row.name, Role(row.role), row.session_generation)


def account_names(session: Session) -> list[str]:
    """Names of all accounts an incident can be given to, in order."""
    query = select(UserAccount.name).where(UserAccount.disabled_at.is_(None)).order_by(UserAccount.name)
    return list(session.scalars(query))
