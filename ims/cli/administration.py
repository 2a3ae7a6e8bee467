"""`ims migrate` and `ims bootstrap`: what the roles do before the programs start."""

import argparse
from pathlib import Path

from ims.accounts.bootstrap import ensure_administrator
from ims.cli.local import local_context
from ims.core.db.engine import Database
from ims.core.db.migrate import check_schema, migrate
from ims.core.errors import ConfigurationFaulty
from ims.core.settings import Settings, load_settings
from ims.sources.bootstrap import ensure_source


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
