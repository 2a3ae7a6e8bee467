"""The source of the installation's own Alertmanager, whose token is in a file of the installation."""

from typing import Final

from sqlalchemy.dialects.postgresql import insert

from ims.accounts.models import ApiToken
from ims.accounts.passwords import hash_token
from ims.accounts.tokens.usecases import ALERTS_WRITE
from ims.audit.log import record
from ims.core.context import Context
from ims.core.errors import ConfigurationFaulty
from ims.core.principal import Role
from ims.sources.models import Source

ALERTMANAGER_SOURCE: Final = "alertmanager"
ALERTMANAGER_RECEIVER: Final = "ims"
"""The receiver in Ansible role alertmanager that sends to IMS. Alerts of other receivers, such as Watchdog, do not."""
BOOTSTRAP_LABEL: Final = "bootstrap"
"""Label of the token in the file. Tokens with other labels, which people created for the source, are left alone."""


class BootstrapTokenEnded(ConfigurationFaulty):
    """The token in `secrets/alertmanager_token` was revoked: remove the file, and `site.yml` generates a new one."""


def ensure_source(context: Context, alertmanager_url: str, token: str) -> bool:
    """Create or update the source `alertmanager` with its token, URL and receiver; true if anything changed.

    The token of an earlier version of the file stops working. Raises `BootstrapTokenEnded`.
    """
    context.require(Role.ADMIN)
    session, now = context.session, context.now
    before = session.get(Source, ALERTMANAGER_SOURCE)
    known_hash = hash_token(token)
    tokens = session.query(ApiToken).filter_by(source=ALERTMANAGER_SOURCE, label=BOOTSTRAP_LABEL).all()
    if any(known.hash == known_hash and known.expires_at and known.expires_at <= now for known in tokens):
        raise BootstrapTokenEnded
    described = {"alertmanager_url": alertmanager_url, "receiver": ALERTMANAGER_RECEIVER}
    is_described = before and {"alertmanager_url": before.alertmanager_url, "receiver": before.receiver} == described
    if is_described and [known.hash for known in tokens] == [known_hash]:
        return False
    session.execute(
        insert(Source)
        .values(name=ALERTMANAGER_SOURCE, kind="alertmanager", created_at=now, **described)
        .on_conflict_do_update(index_elements=[Source.name], set_=described)
    )
    for old in tokens:
        if old.hash != known_hash:
            session.delete(old)
    session.execute(
        insert(ApiToken)
        .values(
            hash=known_hash,
            label=BOOTSTRAP_LABEL,
            source=ALERTMANAGER_SOURCE,
            scopes=[ALERTS_WRITE],
            created_at=now,
        )
        .on_conflict_do_nothing()
    )
    after = {**described, "token": BOOTSTRAP_LABEL}
    record(context, "source.changed" if before else "source.added", ALERTMANAGER_SOURCE, after=after)
    return True
