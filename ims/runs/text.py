"""The whole log of a run as plain text."""

from collections.abc import Iterator
from uuid import UUID

from ims.http.resources import transaction
from ims.runs.queries import events_after
from ims.web.ansi import to_plain


def plain_log(run_id: UUID) -> Iterator[str]:
    """The log in parts, each read in a transaction of its own: a slow reader holds no connection."""
    after = 0
    while True:
        with transaction() as session:
            events = events_after(session, run_id, after)
        if not events:
            return
        yield "".join(f"{to_plain(event.stdout)}\n" for event in events if event.stdout)
        after = events[-1].counter
