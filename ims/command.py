"""What every command of `ims` needs: the database for as long as it runs, and the option `--json`."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from ims.db.engine import Database
from ims.settings import load_settings


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


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option `--json`."""
    parser.add_argument("--json", action="store_true", help="JSON instead of text for people")
