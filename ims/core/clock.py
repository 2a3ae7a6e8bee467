"""This machine's clock: for files of this machine, and for what is only shown.

Whatever is stored, or compared with what is stored, is by the database's clock: `database_now` and `Database.now` in
`ims.core.db.engine`. Rules and use cases get `now` as an argument.
"""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The current time by this machine's clock, with zone UTC."""
    return datetime.now(UTC)
