"""What the commands of `ims admin` need: this machine's database while they run, and who types them."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from ims.core.clock import utc_now
from ims.core.context import Context, Origin
from ims.core.db.engine import Database
from ims.core.principal import Principal
from ims.core.settings import load_settings


@contextmanager
def command_database() -> Iterator[Database]:
    """The programs' database as this machine's settings say, closed at the end."""
    database = Database.of(load_settings())
    try:
        yield database
    finally:
        database.dispose()


@contextmanager
def command_session() -> Iterator[Session]:
    """One transaction on it. Raises `DatabaseAway`."""
    with command_database() as database, database.begin() as session:
        yield session


@contextmanager
def local_context(database: Database | None = None) -> Iterator[Context]:
    """What a use case is called with on this machine: whoever may read the database's password may do everything.

    One transaction, on the programs' database unless another one is given. Raises `DatabaseAway`.
    """
    with command_session() if database is None else database.begin() as session:
        yield Context(session, Principal.of_machine(_system_account()), Origin(), utc_now())


def _system_account() -> str:
    """Who types the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # An account of a container may have no name.
        return str(os.geteuid())
