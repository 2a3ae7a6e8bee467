"""The last part of a run's log, for pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ims.runs.models import RunEvent
from ims.runs.queries import events_after


@dataclass(frozen=True, slots=True)
class Log:
    """The last events of a run's log. `is_cut` is true if earlier events were left out."""

    events: Sequence[RunEvent]
    is_cut: bool

    @property
    def last(self) -> int:
        """Counter of the last event, 0 without events: a reader continues after it."""
        return self.events[-1].counter if self.events else 0


def end_of_log(session: Session, run_id: UUID, *, characters: int, limit: int = 1000) -> Log:
    """The last events of the log whose output fits in about `characters`, so that a page stays small."""
    length = func.sum(func.length(RunEvent.stdout)).over(order_by=RunEvent.counter.desc())
    sized = select(RunEvent.counter, length.label("length")).where(RunEvent.run_id == run_id).subquery()
    first = session.scalar(select(func.min(sized.c.counter)).where(sized.c.length <= characters))
    newest = session.scalar(select(func.max(RunEvent.counter)).where(RunEvent.run_id == run_id)) or 0
    begin = max(first or newest, newest - limit + 1)
    return Log(events_after(session, run_id, begin - 1, limit=limit), is_cut=begin > 1)
