"""Tokens of sources: made, rotated with overlap, revoked; only their hashes are kept."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ims.accounts.models import ApiToken
from ims.accounts.passwords import hash_token
from ims.accounts.queries import USE_REMEMBERED, remember_use
from ims.alerts.models import Source
from ims.errors import Conflict, NotFound
from ims.sources.definition import OWN_SOURCE

ALERTS_WRITE: Final = "alerts:write"
"""Scope of a token that may send alerts."""
LABEL_LENGTH: Final = 64
_PREFIX: Final = "ims_"
"""Marks a text as ours for scanners that look for leaked credentials."""
_RANDOM_BYTES: Final = 32

AnyNetwork = IPv4Network | IPv6Network


class TokenEnded(Conflict):
    """This token does not work any more: create another one with `ims token create`."""


@dataclass(frozen=True, slots=True)
class Sender:
    """The source that a valid token proves, and what it may."""

    name: str
    kind: str
    networks: tuple[AnyNetwork, ...] = ()
    """Where it may send from; none is anywhere."""
    rate_limit: float | None = None
    """Alerts a second."""


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made: the only time its text is known."""

    id: int
    text: str

    @property
    def name(self) -> str:
        """What people call it."""
        return token_name(self.id)


def token_name(token_id: int) -> str:
    """What people call a token."""
    return f"T-{token_id}"


def create_token(
    session: Session, source: str, label: str, now: datetime, *, lifetime: timedelta | None = None
) -> NewToken:
    """Make a token of a source; without a lifetime it works until it is revoked. Raises `NotFound`, `Conflict`."""
    if source == OWN_SOURCE:
        raise Conflict(f"{OWN_SOURCE!r} is the source of alerts that IMS raises itself: nobody sends for it.")
    if session.get(Source, source) is None:
        raise NotFound(f"There is no source {source}.")
    text = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    statement = insert(ApiToken).values(
        hash=hash_token(text),
        label=label[:LABEL_LENGTH],
        source=source,
        scopes=[ALERTS_WRITE],
        created_at=now,
        expires_at=now + lifetime if lifetime else None,
    )
    return NewToken(session.execute(statement.returning(ApiToken.id)).scalar_one(), text)


def rotate_token(session: Session, token_id: int, overlap: timedelta, now: datetime) -> NewToken:
    """Make the token's successor; the old one goes on working for `overlap`, but never longer than it would have.

    Raises `NotFound`, and `TokenEnded` when there is nothing to hand over.
    """
    old = _locked(session, token_id)
    if old.expires_at is not None and old.expires_at <= now:
        raise TokenEnded
    assert old.source is not None  # noqa: S101 - `_locked` gives tokens of sources only
    new = create_token(session, old.source, old.label, now)
    end = now + overlap
    old.expires_at = min(end, old.expires_at) if old.expires_at else end
    session.flush()
    return new


def revoke_token(session: Session, token_id: int, now: datetime) -> bool:
    """End a token at once; false if it had ended before. Raises `NotFound`."""
    token = _locked(session, token_id)
    if token.expires_at is not None and token.expires_at <= now:
        return False
    token.expires_at = now
    session.flush()
    return True


def tokens_of(session: Session, source: str | None = None) -> Sequence[ApiToken]:
    """All tokens, or those of one source, in the order they were made."""
    wanted = select(ApiToken).where(ApiToken.source.is_not(None)).order_by(ApiToken.id)
    return session.scalars(wanted.where(ApiToken.source == source) if source is not None else wanted).all()


def sender_of_token(session: Session, token_hash: bytes, now: datetime) -> Sender | None:
    """The sender whose valid token has this hash, None if there is none or its source is disabled.

    Remembers the use. Callers keep the answer for a few seconds, so this is no work for each request.
    """
    row = session.execute(
        select(Source.name, Source.kind, Source.networks, Source.rate_limit, ApiToken.last_used_at)
        .join(ApiToken, ApiToken.source == Source.name)
        .where(
            ApiToken.hash == token_hash,
            ApiToken.scopes.contains([ALERTS_WRITE]),
            or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > now),
            Source.disabled_at.is_(None),
        )
    ).one_or_none()
    if row is None:
        return None
    if row.last_used_at is None or row.last_used_at < now - USE_REMEMBERED:
        remember_use(session, token_hash, now)
    return Sender(row.name, row.kind, tuple(ip_network(network) for network in row.networks), row.rate_limit)


def _locked(session: Session, token_id: int) -> ApiToken:
    wanted = select(ApiToken).where(ApiToken.id == token_id, ApiToken.source.is_not(None)).with_for_update()
    token = session.scalars(wanted).one_or_none()
    if token is None:
        raise NotFound(f"There is no token {token_name(token_id)}.")
    return token
