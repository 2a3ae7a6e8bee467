"""Whether IMS can use the database, and if not, why: the `database` of `/health/ready`."""

from typing import Final

from ims.core.db.engine import Database
from ims.core.db.migrate import SchemaDiffers, SchemaOutdated, check_schema
from ims.core.errors import DatabaseAway, DatabaseDiskFull, DatabaseUnresponsive

READY_SECONDS: Final = 2.0
"""Maximum time for each answer of the database."""


def fault(database: Database) -> str | None:
    """Why IMS cannot use the database; None if it can."""
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
