"""The life of a token: made, shown once, rotated with overlap, revoked; only its hash is kept.

A token of a source may send alerts. A token of a person acts for them, within its scope and never beyond their role.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from ims.accounts.models import ApiToken, UserAccount
from ims.accounts.passwords import hash_token
from ims.accounts.people.queries import NoSuchAccount
from ims.accounts.tokens.queries import token_name
from ims.audit.log import record
from ims.core.context import Origin
from ims.core.errors import Conflict, FieldError, Invalid, NotFound
from ims.core.principal import Role, Scope, widest_scope
from ims.core.validation import one_line

ALERTS_WRITE: Final = "alerts:write"
"""Scope of a token that may send alerts."""
LABEL_LENGTH: Final = 64
LIFETIME_MOST: Final = timedelta(days=3650)
_PREFIX: Final = "ims_"
"""Marks a text as ours for scanners that look for leaked credentials."""
_RANDOM_BYTES: Final = 32
_MOST_ID: Final = 2**63


class TokenEnded(Conflict):
    """This token does not work any more: create another one with `ims token create`."""


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made: the only time its text is known."""

    id: int
    text: str

    @property
    def name(self) -> str:
        """What people call it."""
        return token_name(self.id)


def token_id(name: str) -> int:
    """The id of a token by its name, `T-3` or `3`. Raises `NotFound`."""
    digits = name.strip().upper().removeprefix("T-")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 19 or int(digits) >= _MOST_ID:
        raise NotFound("There is no such token: its name is like T-3.")
    return int(digits)


def create_user_token(
    session: Session,
    name: str,
    scope: Scope,
    label: str,
    origin: Origin,
    now: datetime,
    *,
    lifetime: timedelta | None = None,
) -> NewToken:
    """Make a token that acts for an account; without a lifetime it works until it is revoked.

    Raises `NoSuchAccount` (also for a disabled one), and `Invalid` for a scope beyond the account's role.
    """
    query = select(UserAccount).where(UserAccount.name == name, UserAccount.disabled_at.is_(None))
    # Nobody disables it, which ends its tokens, while it gets another one.
    account = session.scalars(query.with_for_update(read=True)).one_or_none()
    if account is None:
        raise NoSuchAccount
    widest = widest_scope(Role(account.role))
    if not widest.includes(scope):
        raise Invalid(fields=[FieldError("scope", f"may be at most {widest} for somebody who is {account.role}")])
    token = ApiToken(label=label, user_id=account.id, scopes=[scope.value], lifetime=lifetime)
    new = store_token(session, token, now)
    record(session, origin, "token.created", new.name, now, after={"user": name, **describe_token(token)})
    return new


def rotate_token(session: Session, token_id: int, overlap: timedelta, origin: Origin, now: datetime) -> NewToken:
    """Make the token's successor; the old one goes on working for `overlap`, but never longer than it would have.

    The successor lives as long as the old one was made for. Raises `NotFound`, `Invalid`, and `TokenEnded` when there
    is nothing to hand over.
    """
    old = locked_token(session, token_id)
    if old.expires_at is not None and old.expires_at <= now:
        raise TokenEnded
    if not timedelta() <= overlap <= LIFETIME_MOST:
        raise Invalid(fields=[FieldError("overlap", f"must be between 0 and {LIFETIME_MOST.days} days")])
    owner = {"source": old.source, "user_id": old.user_id}
    new = store_token(session, ApiToken(label=old.label, scopes=list(old.scopes), lifetime=old.lifetime, **owner), now)
    end = now + overlap
    old.expires_at = min(end, old.expires_at) if old.expires_at else end
    after = {"successor": new.name, "expires_at": old.expires_at.isoformat()}
    record(session, origin, "token.rotated", token_name(token_id), now, after=after)
    session.flush()
    return new


def revoke_token(session: Session, token_id: int, origin: Origin, now: datetime) -> bool:
    """End a token at once; false if it had ended before. Raises `NotFound`."""
    token = locked_token(session, token_id)
    if token.expires_at is not None and token.expires_at <= now:
        return False
    token.expires_at = now
    record(session, origin, "token.revoked", token_name(token_id), now)
    session.flush()
    return True


def locked_token(session: Session, token_id: int, owner: UUID | None = None, *, source: str | None = None) -> ApiToken:
    """A token that nobody else changes meanwhile; with `owner` only one of this account, with `source` of this source.

    Raises `NotFound`.
    """
    wanted = select(ApiToken).where(ApiToken.id == token_id).with_for_update()
    if owner is not None:
        wanted = wanted.where(ApiToken.user_id == owner)
    if source is not None:
        wanted = wanted.where(ApiToken.source == source)
    token = session.scalars(wanted.execution_options(populate_existing=True)).one_or_none()
    if token is None:
        raise NotFound(f"There is no token {token_name(token_id)}.")
    return token


def store_token(session: Session, token: ApiToken, now: datetime) -> NewToken:
    """Check what was asked for, and keep the token's hash."""
    text = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    token.label = _checked_label(token.label)
    if token.lifetime is not None and not timedelta() < token.lifetime <= LIFETIME_MOST:
        raise Invalid(fields=[FieldError("expires", f"must be more than 0 and at most {LIFETIME_MOST.days} days")])
    token.hash, token.created_at = hash_token(text), now
    token.expires_at = now + token.lifetime if token.lifetime is not None else None
    session.add(token)
    session.flush()
    return NewToken(token.id, text)


def describe_token(token: ApiToken) -> dict[str, str | None]:
    """The token as the audit log shows it."""
    expires_at = token.expires_at.isoformat() if token.expires_at else None
    return {"scope": token.scopes[0], "label": token.label, "expires_at": expires_at}


def _checked_label(label: str) -> str:
    try:
        label = one_line(label.strip())
    except ValueError as error:
        raise Invalid(fields=[FieldError("label", str(error))]) from None
    if len(label) > LABEL_LENGTH:
        raise Invalid(fields=[FieldError("label", f"may have at most {LABEL_LENGTH} characters")])
    return label
