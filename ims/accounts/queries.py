"""Reading accounts, and the principals of tokens."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import String, cast, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from ims.accounts.models import ApiToken, EndedSession, Membership, UserAccount
from ims.accounts.token_names import token_name
from ims.core.principal import Account, Principal, Role, Scope

USE_REMEMBERED = timedelta(minutes=1)
"""A token's last use is written again only after this time, to save writes."""


_TEAMS = (
    select(func.coalesce(func.array_agg(Membership.team), cast([], ARRAY(String))))
    .where(Membership.user_id == UserAccount.id)
    .correlate(UserAccount)
    .scalar_subquery()
    .label("teams")
)
_ENABLED = select(UserAccount, _TEAMS).where(UserAccount.disabled_at.is_(None))


def account_by_id(session: Session, account_id: UUID) -> Account | None:
    """The account; None if it was removed or disabled."""
    row = session.execute(_ENABLED.where(UserAccount.id == account_id)).one_or_none()
    return None if row is None else _account(row.UserAccount, row.teams)


def account_of_session(session: Session, account_id: UUID, session_id: UUID) -> Account | None:
    """The account of a session; None if it was removed or disabled, or if the session has ended."""
    is_ended = exists().where(EndedSession.id == session_id)
    row = session.execute(_ENABLED.where(UserAccount.id == account_id, ~is_ended)).one_or_none()
    return None if row is None else _account(row.UserAccount, row.teams)


def account_by_name(session: Session, name: str) -> tuple[Account, str | None] | None:
    """The account and the hash of its password; None if it does not exist or is disabled."""
    row = session.execute(_ENABLED.where(UserAccount.name == name)).one_or_none()
    return None if row is None else (_account(row.UserAccount, row.teams), row.UserAccount.password_hash)


def is_account(session: Session, name: str) -> bool:
    """Whether an account has this name, disabled or not."""
    return session.scalar(select(UserAccount.id).where(UserAccount.name == name)) is not None


def principal_of_token(session: Session, token_hash: bytes, now: datetime) -> Principal | None:
    """The principal of the valid token with this hash; None without such a token or if its account is disabled.

    Records the time of use, accurate to a minute.
    """
    row = session.execute(
        _ENABLED.add_columns(ApiToken)
        .join(ApiToken, ApiToken.user_id == UserAccount.id)
        .where(ApiToken.hash == token_hash, or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > now))
    ).one_or_none()
    if row is None:
        return None
    token: ApiToken = row.ApiToken
    if token.last_used_at is None or token.last_used_at < now - USE_REMEMBERED:
        remember_use(session, token_hash, now)
    scopes = [scope for scope in Scope if scope.value in token.scopes]
    if not scopes:
        return None
    return Principal.of_account(_account(row.UserAccount, row.teams), scopes[-1], token_name(token.id))


def remember_use(session: Session, token_hash: bytes, now: datetime) -> None:
    """Record when a token was used. A locked row is skipped: a concurrent request is writing the same."""
    free = select(ApiToken.hash).where(ApiToken.hash == token_hash).with_for_update(skip_locked=True)
    session.execute(
        update(ApiToken)
        .where(ApiToken.hash.in_(free.scalar_subquery()))
        .values(last_used_at=now)
        .execution_options(synchronize_session=False)
    )


def account_names(session: Session) -> list[str]:
    """Names of all accounts to which an incident can be assigned, in order."""
    query = select(UserAccount.name).where(UserAccount.disabled_at.is_(None)).order_by(UserAccount.name)
    return list(session.scalars(query))


def _account(row: UserAccount, teams: list[str]) -> Account:
    return Account(row.id, row.name, Role(row.role), row.session_generation, frozenset(teams))
