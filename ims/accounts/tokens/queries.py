"""Reading tokens: never their text, which is not stored."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from ims.accounts.models import ApiToken
from ims.accounts.token_names import token_name
from ims.core.wording import iso


class TokenState(StrEnum):
    """Whether a token works."""

    VALID = "valid"
    ENDING = "ending"
    """The token works until `expires_at`."""
    ENDED = "ended"


def tokens_of(session: Session, *, source: str | None = None, user_id: UUID | None = None) -> Sequence[ApiToken]:
    """All tokens, those of one source, or those of one account, in the order of their creation."""
    return session.scalars(_of(source, user_id).order_by(ApiToken.id)).all()


def newest_tokens(
    session: Session, limit: int, before: int | None, *, source: str | None = None, user_id: UUID | None = None
) -> Sequence[ApiToken]:
    """A page of these tokens, newest first; `before` is the last id of the previous page."""
    wanted = _of(source, user_id).order_by(ApiToken.id.desc()).limit(limit)
    return session.scalars(wanted.where(ApiToken.id < before) if before is not None else wanted).all()


def _of(source: str | None, user_id: UUID | None) -> Select[ApiToken]:
    wanted = select(ApiToken)
    if source is not None:
        wanted = wanted.where(ApiToken.source == source)
    return wanted.where(ApiToken.user_id == user_id) if user_id is not None else wanted


def working_tokens(session: Session, now: datetime) -> dict[str, int]:
    """How many valid tokens each source has; a source without any is left out."""
    works = or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > now)
    counted = select(ApiToken.source, func.count()).where(ApiToken.source.is_not(None), works).group_by(ApiToken.source)
    return {source: number for source, number in session.execute(counted) if source is not None}


def token_as_json(token: ApiToken, user: str | None, now: datetime) -> dict[str, Any]:
    """A token for people and programs. `user` is the name of its account."""
    return {
        "token": token_name(token.id),
        "source": token.source,
        "user": user,
        "label": token.label,
        "state": token_state(token, now),
        "scopes": list(token.scopes),
        "created_at": iso(token.created_at),
        "expires_at": iso(token.expires_at),
        "last_used_at": iso(token.last_used_at),
    }


def token_state(token: ApiToken, now: datetime) -> TokenState:
    if token.expires_at is None:
        return TokenState.VALID
    return TokenState.ENDING if token.expires_at > now else TokenState.ENDED


def is_rotated(token: ApiToken, now: datetime) -> bool:
    """Whether the token still works but was rotated: it ends before its original lifetime does."""
    if token.expires_at is None or token.expires_at <= now:
        return False
    return token.lifetime is None or token.expires_at < token.created_at + token.lifetime
