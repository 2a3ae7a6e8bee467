"""The whole log of a run as plain text."""

from collections.abc import Iterator
from uuid import UUID

from ims.core.db.engine import Database
from ims.runs.ansi import to_plain
from ims.runs.queries import events_after


def plain_log(database: Database, run_id: UUID) -> Iterator[str]:
    """The log in parts. Each part is read in its own transaction, so that a slow reader holds no connection."""
    after = 0
    while True:
        with database.begin() as session:
            events = events_after(session, run_id, after)
        if not events:
            return
        yield "".join(f"{to_plain(event.stdout)}\n" for event in events if event.stdout)
        after = events[-1].counter
