"""What every command of `ims` needs: the database for as long as it runs, who types it, and the option `--json`."""

import argparse
import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from ims.core.actors import Actor, ActorKind
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
def local_context() -> Iterator[Context]:
    """What a use case is called with on this machine: whoever may read the database's password may do everything.

    Raises `DatabaseAway`.
    """
    origin = command_origin()
    with command_session() as session:
        yield Context(session, Principal.of_machine(origin.actor.name), origin, utc_now())


def command_origin() -> Origin:
    """The system account that types the command, for the audit log: no address, it is on this machine."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        # An account of a container may have no name.
        name = str(os.geteuid())
    return Origin(Actor(ActorKind.PERSON, name))


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option `--json`."""
    parser.add_argument("--json", action="store_true", help="JSON instead of text for people")
