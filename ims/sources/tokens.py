"""Which source a token proves, and what it may."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_network

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from ims.accounts.models import ApiToken
from ims.accounts.queries import USE_REMEMBERED, remember_use
from ims.accounts.tokens.usecases import ALERTS_WRITE, NewToken, describe_token, store_token
from ims.audit.log import record
from ims.core.context import Origin
from ims.core.errors import Conflict, NotFound
from ims.core.net import AnyNetwork
from ims.sources.definition import OWN_SOURCE
from ims.sources.models import Source


@dataclass(frozen=True, slots=True)
class Sender:
    """The source that a valid token proves, and what it may."""

    name: str
    kind: str
    networks: tuple[AnyNetwork, ...] = ()
    """Where it may send from; none is anywhere."""
    rate_limit: float | None = None
    """Alerts a second."""


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


def create_source_token(
    session: Session, source: str, label: str, origin: Origin, now: datetime, *, lifetime: timedelta | None = None
) -> NewToken:
    """Make a token by which a source may send alerts; without a lifetime it works until it is revoked.

    Raises `NotFound`, `Conflict` for our own source, `Invalid`.
    """
    if source == OWN_SOURCE:
        raise Conflict(f"{OWN_SOURCE!r} is the source of alerts that IMS raises itself: nobody sends for it.")
    if session.get(Source, source) is None:
        raise NotFound(f"There is no source {source}.")
    token = ApiToken(label=label, source=source, scopes=[ALERTS_WRITE], lifetime=lifetime)
    new = store_token(session, token, now)
    record(session, origin, "token.created", new.name, now, after={"source": source, **describe_token(token)})
    return new
