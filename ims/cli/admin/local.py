"""Context of `ims admin` commands: the database of this machine, and the system account that runs them."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from ims.core.context import Context, Origin
from ims.core.db.engine import Database, database_now
from ims.core.principal import Principal
from ims.core.settings import load_settings


@contextmanager
def command_database() -> Iterator[Database]:
    """The database of this machine's settings; closed at the end."""
    database = Database.of(load_settings())
    try:
        yield database
    finally:
        database.dispose()


@contextmanager
def command_session() -> Iterator[Session]:
    """One transaction on that database. Raises `DatabaseAway`."""
    with command_database() as database, database.begin() as session:
        yield session


@contextmanager
def local_context(database: Database | None = None) -> Iterator[Context]:
    """Context for a use case. It has all rights: an account that can read the database's password could do anything.

    One transaction, by default on the database of this machine's settings. Raises `DatabaseAway`.
    """
    with command_session() if database is None else database.begin() as session:
        yield Context(session, Principal.of_machine(_system_account()), Origin(), database_now(session))


def _system_account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # The account in a container may have no name.
        return str(os.geteuid())
