"""Searching incidents by the words of their titles, descriptions and notes, in the order of the list.

Every word must occur, each as the beginning of one: `disk` finds `disks`. Punctuation only separates words, so `db-01`
finds what has words that begin with `db` and with `01`. Case does not count.

A common word is in too many rows to sort them all, and a rare one in too few to walk the list until a page is full. So
first the next 500 rows of the list are looked at, which fills a page when the words are common. If not, the index on
words gives the rows of a day, of the two before, of the four before: each word stands in it once for each day, so
nothing is read twice, and days that are not needed are not read. What a search costs at worst are the rows of the days
that hold the page.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from sqlalchemy import ColumnElement, Select, cast, column, func, select
from sqlalchemy.dialects.postgresql import ARRAY, TEXT
from sqlalchemy.orm import Session, aliased, undefer

from ims.incidents.models import Incident
from ims.incidents.order import Position, Sort, beyond, in_order

WALK_ROWS: Final = 500
MOST_DAYS: Final = 64
"""Days that are asked for at once: each is a part of the query."""
MOST_CHARACTERS: Final = 1000
_EPOCH = date(1970, 1, 1).toordinal()

Conditions = Callable[[type[Incident]], Sequence[ColumnElement[bool]]]
"""The other filters, as conditions on the incident given."""


@dataclass(frozen=True, slots=True)
class Search:
    """What to search, and which part of it: the next `limit` rows behind `after`."""

    words: str
    conditions: Conditions
    sort: Sort
    limit: int
    after: Position | None
    since: datetime | None
    until: datetime | None


def find(session: Session, search: Search) -> Sequence[Incident]:
    """The next rows of the list that have all the words; nothing when there is no word among the punctuation."""
    words = _split(session, search.words)
    if not words:
        return []
    found: list[Incident] = list(session.scalars(_walk(search, words)))
    if len(found) == search.limit:
        return found
    found = []
    for first, last in _windows(session, search):
        found += session.scalars(_window(search, words, first, last, search.limit - len(found)))
        if len(found) == search.limit:
            break
    return found


def find_among_few(session: Session, search: Search) -> Sequence[Incident]:
    """The same where the other filters leave few rows: those are looked at, one by one."""
    words = _split(session, search.words)
    if not words:
        return []
    query = select(Incident).where(*_part(search, Incident), _has(Incident, words))
    return session.scalars(query.order_by(*in_order(Incident, search.sort)).limit(search.limit)).all()


def _split(session: Session, given: str) -> list[str]:
    """The words as the database splits those of an incident. What cannot be stored separates words."""
    clean = given[:MOST_CHARACTERS].replace("\0", " ").encode(errors="replace").decode()
    return session.scalar(select(func.searchable_words(clean, type_=ARRAY(TEXT)))) or []


def _part(search: Search, incident: type[Incident]) -> list[ColumnElement[bool]]:
    conditions = list(search.conditions(incident))
    return [*conditions, beyond(incident, search.after, search.sort)] if search.after else conditions


def _has(incident: type[Incident], words: list[str]) -> ColumnElement[bool]:
    day = func.day_number(incident.opened_at)
    return incident.words.bool_op("@@")(func.words_query(cast(words, ARRAY(TEXT)), day, day))


def _walk(search: Search, words: list[str]) -> Select[Incident]:
    """Among the next rows of the list, those with the words."""
    rows = select(Incident).options(undefer(Incident.words)).where(*_part(search, Incident))
    near = aliased(Incident, rows.order_by(*in_order(Incident, search.sort)).limit(WALK_ROWS).subquery())
    return select(near).where(_has(near, words)).order_by(*in_order(near, search.sort)).limit(search.limit)


def _window(search: Search, words: list[str], first: int, last: int, limit: int) -> Select[Incident]:
    """Rows of some days, by the index on words."""
    columns = [column(each.name, each.type) for each in Incident.__table__.columns]
    rows = func.incidents_with(cast(words, ARRAY(TEXT)), first, last).table_valued(*columns)
    incident = aliased(Incident, rows, adapt_on_names=True)
    return select(incident).where(*_part(search, incident)).order_by(*in_order(incident, search.sort)).limit(limit)


def _windows(session: Session, search: Search) -> Iterator[tuple[int, int]]:
    """First and last day of each step, from where the page begins to where the list ends."""
    oldest = session.scalar(select(func.min(Incident.opened_at)))
    newest = session.scalar(select(func.max(Incident.opened_at)))
    if oldest is None or newest is None:
        return
    first = _day(max(filter(None, (oldest, search.since))))
    last = _day(min(filter(None, (newest, search.until))))
    if search.after and search.sort is Sort.NEWEST:
        last = min(last, _day(search.after.opened_at))
    elif search.after:
        first = max(first, _day(search.after.opened_at))
    days = 1
    while first <= last:
        if search.sort is Sort.NEWEST:
            yield max(first, last - days + 1), last
            last -= days
        else:
            yield first, min(last, first + days - 1)
            first += days
        days = min(2 * days, MOST_DAYS)


def _day(at: datetime) -> int:
    return at.astimezone(UTC).date().toordinal() - _EPOCH
