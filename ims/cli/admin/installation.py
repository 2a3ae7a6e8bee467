"""What an installation starts with: the administrator, the source of its Alertmanager, the command's token."""

from pathlib import Path

from ims.accounts.bootstrap import ensure_administrator, ensure_command_token
from ims.cli.admin.local import local_context
from ims.core.db.engine import Database
from ims.core.db.migrate import check_schema
from ims.core.errors import ConfigurationFaulty
from ims.core.settings import Settings, load_settings
from ims.sources.bootstrap import ensure_source


def bootstrap() -> bool:
    """Create what an installation starts with, or change it to what the files in `secrets` say; true if it changed."""
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
                ensure_command_token(context, command_token),
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
