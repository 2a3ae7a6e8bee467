"""Initial objects of an installation: the administrator, the source of its Alertmanager, the command's token."""

import secrets
from pathlib import Path

from ims.accounts.bootstrap import CommandTokenEnded, ensure_administrator, ensure_command_token
from ims.cli.admin.local import local_context
from ims.core.context import Context
from ims.core.db.engine import Database
from ims.core.db.migrate import check_schema
from ims.core.errors import ConfigurationFaulty
from ims.core.settings import Settings, load_settings
from ims.sources.bootstrap import ensure_source


def bootstrap() -> bool:
    """Create the initial objects, or update them from the files in `secrets`. True if anything changed."""
    settings = load_settings()
    password, token = _secret(settings, "admin_password"), _secret(settings, "alertmanager_token")
    command_token = _secret(settings, "command_token")
    database = Database.of(settings)
    try:
        check_schema(database)
        with local_context(database) as context:
            changes = [
                ensure_administrator(context, password),
                ensure_source(context, settings.alertmanager_url, token),
                _ensure_command_token(context, settings, command_token),
            ]
    finally:
        database.dispose()
    return any(changes)


def _ensure_command_token(context: Context, settings: Settings, token: str) -> bool:
    """As `ensure_command_token`, but replaces a token that was revoked; the old one stays revoked."""
    try:
        return ensure_command_token(context, token)
    except CommandTokenEnded:
        successor = secrets.token_urlsafe(36)
        # Written to the same file, which has the right owner and mode. Written before the commit: if the commit fails,
        # the next bootstrap adds the token of the file, while a token only in the database would be unusable.
        _path_of(settings, "command_token").write_text(f"{successor}\n", encoding="utf-8")
        return ensure_command_token(context, successor)


def _path_of(settings: Settings, name: str) -> Path:
    return settings.state_dir / "secrets" / name


def _secret(settings: Settings, name: str) -> str:
    """The content of a generated secret. Raises `ConfigurationFaulty` when its file is missing or empty."""
    path = _path_of(settings, name)
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationFaulty(f"{path} cannot be read: {error.strerror}. `site.yml` generates it.") from error
    if not secret:
        raise ConfigurationFaulty(f"{path} is empty. Remove it, and `site.yml` generates it again.")
    return secret
