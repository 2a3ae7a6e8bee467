"""The lifecycle of a token: created, shown once, rotated with an overlap, revoked. Only its hash is stored.

A token of a source may send alerts. A token of a person acts for them, within its scope and never beyond their role.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from ims.accounts.models import ApiToken, UserAccount
from ims.accounts.passwords import hash_token
from ims.accounts.people.queries import NoSuchAccount, person
from ims.accounts.token_names import token_id, token_name
from ims.audit.log import record
from ims.core.context import Context
from ims.core.errors import Conflict, FieldError, Invalid, NotFound
from ims.core.principal import Role, Scope, widest_scope
from ims.core.validation import one_line

ALERTS_WRITE: Final = "alerts:write"
"""Scope of a token that may send alerts."""
LABEL_LENGTH: Final = 64
LIFETIME_MOST: Final = timedelta(days=3650)
_PREFIX: Final = "ims_"
"""Prefix by which scanners for leaked credentials recognise a token of IMS."""
_RANDOM_BYTES: Final = 32


class TokenEnded(Conflict):
    """This token no longer works: create a new one with `ims token create`."""


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just created; this is the only time its text is known."""

    id: int
    text: str

    @property
    def name(self) -> str:
        return token_name(self.id)


def create_user_token(
    context: Context, name: str, scope: Scope, label: str, *, lifetime: timedelta | None = None
) -> NewToken:
    """Create a token that acts for an account; without a lifetime it works until it is revoked.

    Raises `NoSuchAccount` (also for a disabled one), and `Invalid` for a scope beyond the account's role.
    """
    context.require(Role.ADMIN)
    return _create(context, UserAccount.name == name, scope, label, lifetime)


def create_own_token(context: Context, scope: Scope, label: str, *, lifetime: timedelta | None = None) -> NewToken:
    """Create a token for the principal's own account.

    Raises `ScopeTooNarrow` if the principal is a token with a narrower scope.
    """
    context.require(Role.VIEWER)
    context.require_scope(scope)
    return _create(context, UserAccount.id == context.principal.account, scope, label, lifetime)


def _create(
    context: Context, whose: ColumnElement[bool], scope: Scope, label: str, lifetime: timedelta | None
) -> NewToken:
    query = select(UserAccount).where(whose, UserAccount.disabled_at.is_(None))
    # The lock keeps the account from being disabled, which ends its tokens, while it gets a new one.
    account = context.session.scalars(query.with_for_update(read=True)).one_or_none()
    if account is None:
        raise NoSuchAccount
    widest = widest_scope(Role(account.role))
    if not widest.includes(scope):
        raise Invalid(fields=[FieldError("scope", f"may be at most {widest} for an account with role {account.role}")])
    token = ApiToken(label=label, user_id=account.id, scopes=[scope.value], lifetime=lifetime)
    new = store_token(context, token)
    record(context, "token.created", new.name, after={"user": account.name, **describe_token(token)})
    return new


def rotate_token(
    context: Context, token: str, overlap: timedelta, *, user: str | None = None, source: str | None = None
) -> NewToken:
    """Create a successor of the token with this name; the old token works for `overlap` more, but never longer than
    before.

    With `user` or `source` the token must be theirs. The successor gets the lifetime that the old token was created
    with. Raises `NotFound`, `Invalid`, and `TokenEnded` if the old token no longer works.
    """
    context.require(Role.ADMIN)
    return _rotate(context, _locked(context.session, token, _account_id(context.session, user), source), overlap)


def rotate_own_token(context: Context, token: str, overlap: timedelta) -> NewToken:
    """Like `rotate_token`, for a token of the principal's own account.

    Also raises `ScopeTooNarrow`: otherwise a token could obtain one with a wider scope.
    """
    context.require(Role.VIEWER)
    old = _locked(context.session, token, context.principal.account)
    for scope in old.scopes:
        context.require_scope(Scope(scope))
    return _rotate(context, old, overlap)


def _rotate(context: Context, old: ApiToken, overlap: timedelta) -> NewToken:
    if old.expires_at is not None and old.expires_at <= context.now:
        raise TokenEnded
    if not timedelta() <= overlap <= LIFETIME_MOST:
        raise Invalid(fields=[FieldError("overlap", f"must be between 0 and {LIFETIME_MOST.days} days")])
    owner = {"source": old.source, "user_id": old.user_id}
    new = store_token(context, ApiToken(label=old.label, scopes=list(old.scopes), lifetime=old.lifetime, **owner))
    end = context.now + overlap
    old.expires_at = min(end, old.expires_at) if old.expires_at else end
    after = {"successor": new.name, "expires_at": old.expires_at.isoformat()}
    record(context, "token.rotated", token_name(old.id), after=after)
    context.session.flush()
    return new


def revoke_token(context: Context, token: str, *, user: str | None = None, source: str | None = None) -> bool:
    """Revoke the token with this name at once; false if it had ended before. Raises `NotFound`.

    With `user` or `source` the token must be theirs.
    """
    context.require(Role.ADMIN)
    return _revoke(context, _locked(context.session, token, _account_id(context.session, user), source))


def revoke_own_token(context: Context, token: str) -> bool:
    """Like `revoke_token`, for a token of the principal's own account."""
    context.require(Role.VIEWER)
    return _revoke(context, _locked(context.session, token, context.principal.account))


def _revoke(context: Context, token: ApiToken) -> bool:
    if token.expires_at is not None and token.expires_at <= context.now:
        return False
    token.expires_at = context.now
    record(context, "token.revoked", token_name(token.id))
    context.session.flush()
    return True


def _account_id(session: Session, user: str | None) -> UUID | None:
    return person(session, user).id if user is not None else None


def _locked(session: Session, name: str, owner: UUID | None = None, source: str | None = None) -> ApiToken:
    """A token, locked against concurrent changes; with `owner` or `source` it must be theirs. Raises `NotFound`."""
    wanted = select(ApiToken).where(ApiToken.id == token_id(name)).with_for_update()
    if owner is not None:
        wanted = wanted.where(ApiToken.user_id == owner)
    if source is not None:
        wanted = wanted.where(ApiToken.source == source)
    # PostgreSQL accepts no NUL in a text.
    is_name = "\0" not in (source or "")
    token = session.scalars(wanted.execution_options(populate_existing=True)).one_or_none() if is_name else None
    if token is None:
        raise NotFound(f"There is no token {token_name(token_id(name))}.")
    return token


def store_token(context: Context, token: ApiToken) -> NewToken:
    """Validate the token and store its hash. The caller authorises the principal."""
    text = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    token.label = _checked_label(token.label)
    if token.lifetime is not None and not timedelta() < token.lifetime <= LIFETIME_MOST:
        raise Invalid(fields=[FieldError("expires", f"must be more than 0 and at most {LIFETIME_MOST.days} days")])
    token.hash, token.created_at = hash_token(text), context.now
    token.expires_at = context.now + token.lifetime if token.lifetime is not None else None
    context.session.add(token)
    context.session.flush()
    return NewToken(token.id, text)


def describe_token(token: ApiToken) -> dict[str, str | None]:
    """The token's fields for the audit log."""
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
