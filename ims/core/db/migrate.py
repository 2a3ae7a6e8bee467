"""`ims admin migrate`: the only step that changes the schema. Programs only check that it has run."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from ims.core.db.engine import Database, owner_url
from ims.core.errors import DatabaseAway, IMSError
from ims.core.settings import Settings

if TYPE_CHECKING:
    from alembic.config import Config

_VERSIONS = Path(__file__).with_name("migrations") / "versions"

# Two migrations at once would create tables twice: one session holds this lock, the other waits.
_MIGRATION_LOCK = 4_172_026


class SchemaOutdated(IMSError):
    """The database's schema does not match this program: run `ims admin migrate`, then start the program again."""

    status = 503


class RoleMissing(IMSError):
    """The database has no role `ims_app` for the programs; create it (CREATE ROLE ims_app LOGIN PASSWORD '…')."""


def _config(connection: Connection | None = None) -> "Config":
    # Not above: programs that only check the schema would each keep Alembic's 10 MB in memory.
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    return config


def head() -> str:
    """The schema revision that this program needs."""
    return max(path.stem for path in _VERSIONS.glob("[0-9]*.py"))


def migrate(settings: Settings) -> bool:
    """Bring the schema to this program's revision; true if something changed.

    Raises `DatabaseAway` and `RoleMissing`.
    """
    from alembic import command

    engine = create_engine(owner_url(settings), poolclass=NullPool, connect_args={"connect_timeout": 5})
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK})
            connection.commit()
            if not connection.scalar(text("SELECT count(*) FROM pg_roles WHERE rolname = 'ims_app'")):
                raise RoleMissing
            before = _current(connection)
            connection.commit()
            command.upgrade(_config(connection), "head")
            connection.commit()
            return before != _current(connection)
    except OperationalError as error:
        raise DatabaseAway from error
    finally:
        engine.dispose()


def check_schema(database: Database) -> None:
    """Raises `SchemaOutdated` unless the database is at this program's revision, and `DatabaseAway`."""
    with database.begin() as session:
        if _current(session.connection()) != head():
            raise SchemaOutdated


def _current(connection: Connection) -> str | None:
    """The database's revision, None if it has none yet."""
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision
