"""What the commands of `ims admin` need: this machine's database while they run, who types them, and their errors."""

import getpass
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from ims.cli.errors import Away, CommandFailed, NothingThere, NotNow, Wrong
from ims.core.clock import utc_now
from ims.core.context import Context, Origin
from ims.core.db.engine import Database
from ims.core.errors import Conflict, DatabaseAway, IMSError, Invalid, NotFound, Stale
from ims.core.principal import Principal
from ims.core.settings import load_settings

F = TypeVar("F", bound=Callable[..., Any])
_KINDS = ((Invalid, Wrong), (NotFound, NothingThere), (Conflict, NotNow), (Stale, NotNow), (DatabaseAway, Away))


def on_this_machine(command: F) -> F:
    """Tell an error of ours as every command does: one sentence, each wrong field, and the exit code of its kind."""

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except IMSError as error:
            lines = [error.message, *(f"  {wrong.field}: {wrong.message}" for wrong in error.fields)]
            kind = next((ours for theirs, ours in _KINDS if isinstance(error, theirs)), CommandFailed)
            raise kind("\n".join(lines)) from None

    return run  # type: ignore[return-value]


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
