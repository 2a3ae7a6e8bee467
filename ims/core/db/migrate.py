"""`ims admin migrate`: the only step that changes the schema. Programs only check that it has run."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from ims.core.db.base import Base
from ims.core.db.engine import Database, owner_url
from ims.core.db.schema import SHOWN, schema_differences
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


class SchemaDiffers(SchemaOutdated):
    """The database's schema is not the one that this version's migrations make."""

    def __init__(self, differences: list[str]) -> None:
        self.differences = differences
        more = f", and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
        self.shown = f"{', '.join(differences[:SHOWN])}{more}"
        super().__init__(
            f"The database's schema is not the one that this version's migrations make: {self.shown}. An edited"
            " migration or a change by hand made it. Run `ims admin migrate`, which repairs the schemas of earlier"
            " commits; what it still names then has to be repaired by hand, or restore a backup."
        )


@dataclass(frozen=True, slots=True)
class Migrated:
    """What `migrate` did."""

    is_changed: bool
    repaired: tuple[str, ...] = ()
    """What edited migrations had left out and is there now, as sentences."""

    def __bool__(self) -> bool:
        return self.is_changed


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


def migrate(settings: Settings) -> Migrated:
    """Bring the schema to this program's revision, and compare it with the models that are loaded.

    Raises `DatabaseAway`, `RoleMissing`, and `SchemaDiffers` for a schema that it cannot repair.
    """
    from alembic import command
    from alembic.script import ScriptDirectory

    from ims.core.db.edited import prepare

    engine = create_engine(owner_url(settings), poolclass=NullPool, connect_args={"connect_timeout": 5})
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK})
            connection.commit()
            if not connection.scalar(text("SELECT count(*) FROM pg_roles WHERE rolname = 'ims_app'")):
                raise RoleMissing
            before = _current(connection)
            connection.commit()
            config = _config(connection)
            repaired = prepare(connection, ScriptDirectory.from_config(config))
            connection.commit()
            command.upgrade(config, "head")
            connection.commit()
            if differences := schema_differences(connection, Base.metadata):
                raise SchemaDiffers(differences)
            repaired += config.attributes.get("repaired", [])
            return Migrated(before != _current(connection), tuple(repaired))
    except OperationalError as error:
        raise DatabaseAway from error
    finally:
        engine.dispose()


def check_schema(database: Database) -> None:
    """Raises `SchemaOutdated` unless the database has this program's schema, `SchemaDiffers` if only its revision.

    The schema itself is read once for each database: nothing but a migration changes it while programs run. A schema
    that differs is read again each time, until it is repaired. Raises `DatabaseAway`.
    """
    with database.begin() as session:
        connection = session.connection()
        if _current(connection) != head():
            raise SchemaOutdated
        if database.is_schema_checked:
            return
        if differences := schema_differences(connection, Base.metadata):
            raise SchemaDiffers(differences)
    database.is_schema_checked = True


def _current(connection: Connection) -> str | None:
    """The database's revision, None if it has none yet."""
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision
