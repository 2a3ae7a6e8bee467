"""`ims migrate` and `ims bootstrap`: what the roles do before the programs start."""

import argparse
from pathlib import Path

from sqlalchemy.dialects.postgresql import insert

from ims.accounts.models import ApiToken, UserAccount
from ims.accounts.passwords import hash_password, hash_token, is_password
from ims.accounts.tokens.usecases import ALERTS_WRITE
from ims.audit.log import record
from ims.cli.local import local_context
from ims.core.context import Context
from ims.core.db.engine import Database
from ims.core.db.migrate import check_schema, migrate
from ims.core.errors import ConfigurationFaulty
from ims.core.principal import Role
from ims.core.settings import Settings, load_settings
from ims.sources.models import Source

ADMINISTRATOR = "admin"
ALERTMANAGER_SOURCE = "alertmanager"
ALERTMANAGER_RECEIVER = "ims"
"""The receiver of the role alertmanager that sends alerts; what goes to another one, as Watchdog does, is not ours."""
BOOTSTRAP_LABEL = "bootstrap"
"""Label of the token that the file holds; tokens that people made for the source are theirs."""


class BootstrapTokenEnded(ConfigurationFaulty):
    """The token in `secrets/alertmanager_token` was revoked: remove the file, and `site.yml` generates another one."""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to the command line."""
    migrate_command = subparsers.add_parser(
        "migrate",
        help="bring the database's schema to this version",
        description="Bring the database's schema to this version, as role ims_owner. Safe to repeat, and at once.",
    )
    migrate_command.set_defaults(run=_migrate)
    bootstrap_command = subparsers.add_parser(
        "bootstrap",
        help="create the administrator and the source of the local Alertmanager",
        description="Create the administrator and the source `alertmanager` from the files in the state directory's "
        "`secrets`, or change them to what the files say. Prints `changed` or `unchanged`.",
    )
    bootstrap_command.set_defaults(run=_bootstrap)


def _migrate(_arguments: argparse.Namespace) -> int:
    print("changed" if migrate(load_settings()) else "unchanged")
    return 0


def _bootstrap(_arguments: argparse.Namespace) -> int:
    settings = load_settings()
    password = _secret(settings, "admin_password")
    token = _secret(settings, "alertmanager_token")
    database = Database.of(settings)
    try:
        check_schema(database)
        with local_context(database) as context:
            changes = [
                ensure_administrator(context, password),
                ensure_source(context, settings.alertmanager_url, token),
            ]
    finally:
        database.dispose()
    print("changed" if any(changes) else "unchanged")
    return 0


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


def ensure_administrator(context: Context, password: str) -> bool:
    """Create the administrator, or set the password again if the file has another; true if something changed."""
    session = context.session
    account = session.query(UserAccount).filter_by(name=ADMINISTRATOR).with_for_update().one_or_none()
    if account is None:
        session.add(
            UserAccount(
                name=ADMINISTRATOR, password_hash=hash_password(password), role=Role.ADMIN, created_at=context.now
            )
        )
        record(context, "user.created", ADMINISTRATOR, after={"role": Role.ADMIN})
        return True
    if account.password_hash and is_password(account.password_hash, password):
        return False
    account.password_hash = hash_password(password)
    account.session_generation += 1
    record(context, "user.password_set", ADMINISTRATOR)
    return True


def ensure_source(context: Context, alertmanager_url: str, token: str) -> bool:
    """Create the source `alertmanager` with its token, its address and our receiver there; true if it changed.

    A token that the file no longer holds stops working at once. Raises `BootstrapTokenEnded`.
    """
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
