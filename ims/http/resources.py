"""The resources of a view: the settings, the database and the clock of its application."""

from contextlib import AbstractContextManager
from datetime import datetime

from flask import current_app
from sqlalchemy.orm import Session

from ims.core.db.engine import Database
from ims.core.settings import Settings

_SETTINGS = "ims.core.settings"
_DATABASE = "ims.database"


def provide(extensions: dict[str, object], settings: Settings, database: Database) -> None:
    """Give the application the resources of its views."""
    extensions[_SETTINGS] = settings
    extensions[_DATABASE] = database


def settings() -> Settings:
    """The settings this application was built with."""
    found = current_app.extensions[_SETTINGS]
    assert isinstance(found, Settings)  # noqa: S101 - create_app put it there
    return found


def database() -> Database:
    found = current_app.extensions[_DATABASE]
    assert isinstance(found, Database)  # noqa: S101 - create_app put it there
    return found


def transaction() -> AbstractContextManager[Session]:
    """A session in a new transaction. Raises `DatabaseAway`."""
    return database().begin()


def clock() -> datetime:
    """The current time by the database's clock, UTC; a view reads it once and passes it on. Raises `DatabaseAway`."""
    return database().now()
