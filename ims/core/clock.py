"""The clock of doors and jobs. Rules and use cases get `now` as an argument."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The current time, with zone UTC."""
    return datetime.now(UTC)
