"""What an installation starts with: the administrator, the source of its Alertmanager, the command's token."""

from datetime import datetime
from pathlib import Path

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ims.accounts.models import ApiToken, UserAccount
from ims.accounts.passwords import hash_password, hash_token, is_password
from ims.accounts.tokens.usecases import ALERTS_WRITE
from ims.audit.log import record
from ims.cli.admin.local import command_origin
from ims.core.clock import utc_now
from ims.core.context import Origin
from ims.core.db.engine import Database
from ims.core.db.migrate import check_schema
from ims.core.errors import ConfigurationFaulty
from ims.core.principal import Role, Scope
from ims.core.settings import Settings, load_settings
from ims.sources.models import Source

ADMINISTRATOR = "admin"
ALERTMANAGER_SOURCE = "alertmanager"
ALERTMANAGER_RECEIVER = "ims"
"""The receiver of the role alertmanager that sends alerts; what goes to another one, as Watchdog does, is not ours."""
BOOTSTRAP_LABEL = "bootstrap"
"""Label of the token that the file holds; tokens that people made for the source are theirs."""


COMMAND_LABEL = "command line"
"""Label of the token of the command's profile."""


class CommandTokenEnded(ConfigurationFaulty):
    """The token in `secrets/command_token` was revoked: remove the file, and `site.yml` generates another one."""


class BootstrapTokenEnded(ConfigurationFaulty):
    """The token in `secrets/alertmanager_token` was revoked: remove the file, and `site.yml` generates another one."""


def bootstrap() -> bool:
    """Create what an installation starts with, or change it to what the files in `secrets` say; true if it changed."""
    settings = load_settings()
    password, token = _secret(settings, "admin_password"), _secret(settings, "alertmanager_token")
    command_token = _secret(settings, "command_token")
    database = Database.of(settings)
    try:
        check_schema(database)
        with database.begin() as session:
            origin, now = command_origin(), utc_now()
            changes = [
                ensure_administrator(session, password, origin, now),
                ensure_source(session, settings.alertmanager_url, token, origin, now),
                ensure_command_token(session, command_token, origin, now),
            ]
    finally:
        database.dispose()
    return any(changes)


def _secret(settings: Settings, name: str) -> str:
    """The content of a generated secret. Raises `ConfigurationFaulty` when its file is missing or empty."""
    path: Path = settings.state_dir / "secrets" / name
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationFaulty(f"{path} cannot be read: {error.strerror}. `site.yml` generates it.") from error
    if not secret:
        raise ConfigurationFaulty(f"{path} is empty. Remove it, and `site.yml` generates it again.")
    return secret


def ensure_administrator(session: Session, password: str, origin: Origin, now: datetime) -> bool:
    """Create the administrator, or set the password again if the file has another; true if something changed."""
    account = session.query(UserAccount).filter_by(name=ADMINISTRATOR).with_for_update().one_or_none()
    if account is None:
        session.add(
            UserAccount(name=ADMINISTRATOR, password_hash=hash_password(password), role=Role.ADMIN, created_at=now)
        )
        record(session, origin, "user.created", ADMINISTRATOR, now, after={"role": Role.ADMIN})
        return True
    if account.password_hash and is_password(account.password_hash, password):
        return False
    account.password_hash = hash_password(password)
    account.session_generation += 1
    record(session, origin, "user.password_set", ADMINISTRATOR, now)
    return True


def ensure_source(session: Session, alertmanager_url: str, token: str, origin: Origin, now: datetime) -> bool:
    """Create the source `alertmanager` with its token, its address and our receiver there; true if it changed.

    A token that the file no longer holds stops working at once. Raises `BootstrapTokenEnded`.
    """
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
    record(session, origin, "source.changed" if before else "source.added", ALERTMANAGER_SOURCE, now, after=after)
    return True


def ensure_command_token(session: Session, token: str, origin: Origin, now: datetime) -> bool:
    """Let the command `ims` of whoever installed act for the administrator by this token; true if it changed.

    A token that the file no longer holds stops working at once. Raises `CommandTokenEnded`.
    """
    account = session.query(UserAccount).filter_by(name=ADMINISTRATOR).one()
    known_hash = hash_token(token)
    tokens = session.query(ApiToken).filter_by(user_id=account.id, label=COMMAND_LABEL).all()
    if any(known.hash == known_hash and known.expires_at and known.expires_at <= now for known in tokens):
        raise CommandTokenEnded
    if [known.hash for known in tokens] == [known_hash]:
        return False
    for old in tokens:
        session.delete(old)
    session.add(
        ApiToken(hash=known_hash, label=COMMAND_LABEL, user_id=account.id, scopes=[Scope.ADMIN], created_at=now)
    )
    session.flush()
    record(session, origin, "token.created", COMMAND_LABEL, now, after={"user": ADMINISTRATOR, "scope": Scope.ADMIN})
    return True
