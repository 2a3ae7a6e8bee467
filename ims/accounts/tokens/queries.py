"""Reading tokens: never their text, which nobody has."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from ims.accounts.models import ApiToken
from ims.core.wording import iso


def token_name(token_id: int) -> str:
    """What people call a token."""
    return f"T-{token_id}"


def tokens_of(session: Session, *, source: str | None = None, user_id: UUID | None = None) -> Sequence[ApiToken]:
    """All tokens, those of one source, or those of one account, in the order they were made."""
    wanted = select(ApiToken).order_by(ApiToken.id)
    if source is not None:
        wanted = wanted.where(ApiToken.source == source)
    if user_id is not None:
        wanted = wanted.where(ApiToken.user_id == user_id)
    return session.scalars(wanted).all()


def working_tokens(session: Session, now: datetime) -> dict[str, int]:
    """How many tokens of each source work; a source without any is not in it."""
    works = or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > now)
    counted = select(ApiToken.source, func.count()).where(ApiToken.source.is_not(None), works).group_by(ApiToken.source)
    return {source: number for source, number in session.execute(counted) if source is not None}


def token_as_json(token: ApiToken, user: str | None, now: datetime) -> dict[str, Any]:
    """A token as people and programs see it. `user` is its account's name."""
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


def token_state(token: ApiToken, now: datetime) -> str:
    """`valid`, `ending` at a known time, or `ended`."""
    if token.expires_at is None:
        return "valid"
    return "ending" if token.expires_at > now else "ended"


def is_rotated(token: ApiToken, now: datetime) -> bool:
    """Whether the token works only until its successor is everywhere: it ends sooner than it was made for."""
    if token.expires_at is None or token.expires_at <= now:
        return False
    return token.lifetime is None or token.expires_at < token.created_at + token.lifetime
