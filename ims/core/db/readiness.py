"""Whether the database can be worked with, and if not, why: what `/health/ready` says."""

from typing import Final

from ims.core.db.engine import Database
from ims.core.db.migrate import SchemaDiffers, SchemaOutdated, check_schema
from ims.core.errors import DatabaseAway, DatabaseDiskFull, DatabaseUnresponsive

READY_SECONDS: Final = 2.0
"""How long the database may take for each answer."""


def fault(database: Database) -> str | None:
    """What keeps the database from being used, None if nothing does."""
    try:
        database.check(READY_SECONDS)
        check_schema(database)
    except DatabaseDiskFull:
        return "disk full"
    except DatabaseUnresponsive:
        return "not answering in time"
    except DatabaseAway:
        return "away"
    except SchemaDiffers as error:
        return f"schema differs: {error.shown}"
    except SchemaOutdated:
        return "schema outdated"
    return None
