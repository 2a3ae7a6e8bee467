"""Look up the source of a token."""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_network

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from ims.accounts.models import ApiToken
from ims.accounts.queries import USE_REMEMBERED, remember_use
from ims.accounts.tokens.usecases import ALERTS_WRITE
from ims.core.net import AnyNetwork
from ims.sources.models import Source


@dataclass(frozen=True, slots=True)
class Sender:
    """The source of a valid token, with its limits."""

    name: str
    kind: str
    networks: tuple[AnyNetwork, ...] = ()
    """Networks from which it may send; empty means any."""
    rate_limit: float | None = None
    """Alerts a second."""
    format: str | None = None
    """How its alerts are read, if not as its kind says."""


def sender_of_token(session: Session, token_hash: bytes, now: datetime) -> Sender | None:
    """The sender whose valid token has this hash; None if there is none or its source is disabled.

    Records the use of the token. Callers cache the result for a few seconds, so this does not run for each request.
    """
    row = session.execute(
        select(Source.name, Source.kind, Source.format, Source.networks, Source.rate_limit, ApiToken.last_used_at)
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
    networks = tuple(ip_network(network) for network in row.networks)
    return Sender(row.name, row.kind, networks, row.rate_limit, row.format)
