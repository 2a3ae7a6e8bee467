"""Dead letters, alerts that could not be processed: list, retry after a fix, or drop them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from ims.alerts.models import DeadLetter
from ims.alerts.notifications import AlertNotification, Ignored
from ims.alerts.parsers.formats import FormatMissing, format_of
from ims.alerts.usecases import take_alerts
from ims.audit.log import record
from ims.core.context import Context
from ims.core.errors import NotFound
from ims.core.principal import Role
from ims.policy.queries import policy_in_force
from ims.sources.models import Source

STILL_REJECTED: Final = "still rejected"
_MOST_ID: Final = 2**63


@dataclass(frozen=True, slots=True)
class Wanted:
    """Filters of dead letters; an empty one matches all."""

    ids: tuple[int, ...] = ()
    source: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Retried:
    """The result of one retry: that of its notification, or `still rejected` with the reason."""

    id: int
    result: str
    message: str = ""

    @property
    def is_taken(self) -> bool:
        """Whether the alert was accepted now."""
        return self.result != STILL_REJECTED


class NoSuchDeadLetter(NotFound):
    """There is no such dead letter."""

    def __init__(self, *ids: int) -> None:
        named = ", ".join(str(one) for one in ids)
        super().__init__(f"There is no dead letter {named}: it may have been retried or dropped already.")


def list_dead_letters(session: Session, wanted: Wanted, limit: int, before: int | None = None) -> Sequence[DeadLetter]:
    """The matching dead letters, newest first; `before` is the last id of the previous page."""
    query = _narrowed(select(DeadLetter), wanted).order_by(DeadLetter.id.desc()).limit(limit)
    return session.scalars(query.where(DeadLetter.id < before) if before is not None else query).all()


def rejected_ids(session: Session, wanted: Wanted) -> list[int]:
    """Ids of the matching dead letters, oldest first: they are retried in the order in which they arrived."""
    return list(session.scalars(_narrowed(select(DeadLetter.id), wanted).order_by(DeadLetter.id)))


def count_rejected(session: Session, most: int) -> int:
    """The number of dead letters, counted up to `most`."""
    kept = select(DeadLetter.id).limit(most).subquery()
    return session.scalar(select(func.count()).select_from(kept)) or 0


def get_dead_letter(session: Session, rejected_id: int) -> DeadLetter:
    """One dead letter. Raises `NoSuchDeadLetter`."""
    found = session.get(DeadLetter, rejected_id) if _is_id(rejected_id) else None
    if found is None:
        raise NoSuchDeadLetter(rejected_id)
    return found


def retry(context: Context, rejected_id: int) -> Retried:
    """Parse a stored alert as alerts of its source are parsed now, and ingest it; it stays if it is rejected again.

    Raises `NoSuchDeadLetter`.
    """
    context.require(Role.RESPONDER)
    session = context.session
    kept = session.get(DeadLetter, rejected_id, with_for_update=True) if _is_id(rejected_id) else None
    if kept is None:
        raise NoSuchDeadLetter(rejected_id)
    read = _read(session, kept, context.now)
    if isinstance(read, str):
        retried = Retried(rejected_id, STILL_REJECTED, read)
    else:
        outcome = take_alerts(context, [read])
        session.delete(kept)
        session.flush()
        retried = Retried(rejected_id, outcome.results[0].value)
    after = {"source": kept.source, "result": retried.result}
    record(context, "dead_letter.retried", str(rejected_id), after=after)
    return retried


def drop(context: Context, ids: Sequence[int]) -> int:
    """Delete dead letters; returns how many were deleted. Raises `NoSuchDeadLetter` if none of them exists."""
    context.require(Role.RESPONDER)
    statement = delete(DeadLetter).where(DeadLetter.id.in_([id_ for id_ in ids if _is_id(id_)]))
    columns = (DeadLetter.id, DeadLetter.source, DeadLetter.reason)
    dropped = context.session.execute(statement.returning(*columns)).all()
    if ids and not dropped:
        raise NoSuchDeadLetter(*ids)
    for row in dropped:
        record(context, "dead_letter.dropped", str(row.id), before={"source": row.source, "reason": row.reason})
    return len(dropped)


def _is_id(given: int) -> bool:
    """Whether the database could have such an id at all; a larger number is an error in a comparison."""
    return 0 < given < _MOST_ID


def _read(session: Session, kept: DeadLetter, now: datetime) -> AlertNotification | str:
    """The notification, or why the alert is still rejected."""
    source = session.get_one(Source, kept.source)
    try:
        known = format_of(source.kind, source.format, lambda: policy_in_force(session))
    except FormatMissing as missing:
        return missing.message
    if known is None:
        return f"Alerts of a source of kind {source.kind} cannot be retried one by one."
    try:
        body: Any = json.loads(kept.body)
    except (ValueError, RecursionError):
        return "The stored body is truncated or is not an alert: only its sender can send it again."
    read = known.read(body, source.name, now)
    if isinstance(read, AlertNotification):
        return read
    if isinstance(read, Ignored):
        return read.message
    kept.reason = read.reason.value
    kept.details = {**kept.details, "message": read.message}
    session.flush()
    return read.message


def _narrowed(query: Select[Any], wanted: Wanted) -> Select[Any]:
    if wanted.ids:
        query = query.where(DeadLetter.id.in_([id_ for id_ in wanted.ids if _is_id(id_)]))
    if wanted.source is not None:
        query = query.where(DeadLetter.source == wanted.source)
    if wanted.reason is not None:
        query = query.where(DeadLetter.reason == wanted.reason)
    return query
