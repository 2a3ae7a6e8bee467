"""Reading a run's story: the run by its name, and its log line by line."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ims.errors import NotFound
from ims.runs.models import Run, RunEvent

_REFERENCE = re.compile(r"(?:R-)?([1-9][0-9]{0,17})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Log:
    """A part of a run's log. `is_cut` says that lines before it were left out."""

    events: Sequence[RunEvent]
    is_cut: bool

    @property
    def last(self) -> int:
        """Counter of its last line, 0 without lines: where a reader goes on."""
        return self.events[-1].counter if self.events else 0


def find_run(session: Session, reference: str) -> Run:
    """The run called R-7, 7, or by its UUID. Raises `NotFound`."""
    if number := _REFERENCE.fullmatch(reference):
        found = session.scalars(select(Run).where(Run.number == int(number[1]))).one_or_none()
    else:
        try:
            found = session.get(Run, UUID(reference))
        except ValueError:
            found = None
    if found is None:
        raise NotFound("There is no such run.")
    return found


def log_after(session: Session, run_id: UUID, after: int, *, limit: int = 500) -> Sequence[RunEvent]:
    """Up to `limit` lines behind counter `after`, in order."""
    query = select(RunEvent).where(RunEvent.run_id == run_id, RunEvent.counter > after)
    return session.scalars(query.order_by(RunEvent.counter).limit(limit)).all()


def end_of_log(session: Session, run_id: UUID, *, characters: int, limit: int = 1000) -> Log:
    """The last lines of the log, as many as fit in about `characters`, so that a page stays small."""
    length = func.sum(func.length(RunEvent.stdout)).over(order_by=RunEvent.counter.desc())
    sized = select(RunEvent.counter, length.label("length")).where(RunEvent.run_id == run_id).subquery()
    first = session.scalar(select(func.min(sized.c.counter)).where(sized.c.length <= characters))
    newest = session.scalar(select(func.max(RunEvent.counter)).where(RunEvent.run_id == run_id)) or 0
    begin = max(first or newest, newest - limit + 1)
    return Log(log_after(session, run_id, begin - 1, limit=limit), is_cut=begin > 1)
