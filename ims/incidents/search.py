"""Searching incidents by terms in their titles, descriptions and notes, in the order of the list.

Every term must occur, each as the prefix of a word: `disk` finds `disks`. Punctuation only separates terms, so `db-01`
finds incidents with terms that begin with `db` and with `01`. Case is ignored.

A common term is in too many rows to sort them all, and a rare one in too few to walk the list until a page is full. So
a search first scans the next 500 rows of the list, which fills a page when the terms are common. If not, the index on
terms returns the rows of one day, then of the two before, of the four before: the index stores each term once for each
day, so nothing is read twice, and days that are not needed are not read.

Where the terms are so common that even this would be too much for one answer (search_cost.py), the answer has the rows
found so far, perhaps none, and the position at which the search stopped: after some days in the index, or after a
longer walk of the list, whichever gets further. The next request continues from there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import REAL, ColumnElement, Select, and_, cast, column, func, not_, select, text, true
from sqlalchemy.dialects.postgresql import ARRAY, INTEGER, TEXT, TSQUERY
from sqlalchemy.orm import Session, aliased, undefer

from ims.incidents.models import Incident
from ims.incidents.order import Position, Sort, beyond, in_order
from ims.incidents.search_cost import affordable_days

WALK_ROWS: Final = 500
WALK_ON_ROWS: Final = 2_000
"""Rows of a filtered list that are scanned where the index would read too much: all rows of a small service."""
MOST_DAYS: Final = 64
"""Most days that are read before checking whether the page is full."""
MOST_CHARACTERS: Final = 1000
_EPOCH = date(1970, 1, 1)
# Among rows of one moment these ids come last in the order of the list: newest first sorts by id, oldest first by
# descending id.
_LAST_ID: Final = {Sort.NEWEST: UUID(int=2**128 - 1), Sort.OLDEST: UUID(int=0)}
_MOMENT: Final = timedelta(microseconds=1)

Conditions = Callable[[type[Incident]], Sequence[ColumnElement[bool]]]
"""The other filters, as conditions on the given incident."""


@dataclass(frozen=True, slots=True)
class Search:
    """A search, and the requested part of its result: the next `limit` rows after `after`."""

    text: str
    conditions: Conditions
    sort: Sort
    limit: int
    after: Position | None
    since: datetime | None
    until: datetime | None
    is_filtered: bool
    """Whether there are other filters than those of time."""


@dataclass(frozen=True, slots=True)
class Found:
    """Matching rows, and where the search stopped: None at the end of the list and for a full page."""

    rows: Sequence[Incident]
    stopped: Position | None = None


@dataclass(frozen=True, slots=True)
class _Past:
    """The searchable incidents: an estimate of their number, and when the first and last were opened."""

    incidents: int
    oldest: datetime
    newest: datetime


def find(session: Session, search: Search) -> Found:
    """The next rows of the list that match all terms; none when the text has only punctuation."""
    terms, past = _prepare(session, search.text)
    if not terms or past is None:
        return Found([])
    found = session.scalars(_walk(search, terms, WALK_ROWS)).all()
    first, last = _days(search, past)
    if len(found) == search.limit or first > last:
        return Found(found)
    all_days = _day(past.newest) - _day(past.oldest) + 1
    days = affordable_days(session, terms, _has, past.incidents, all_days, is_filtered=search.is_filtered)
    if days > last - first:
        return Found(_by_index(session, search, terms, first, last))
    return _find_some(session, search, terms, (first, last), days)


def _find_some(session: Session, search: Search, terms: list[str], left: tuple[int, int], days: int) -> Found:
    """Search `days` of the days `left` by the index, or walk the list if that gets further.

    Without other filters a walk never gets further.
    """
    first, last = left
    if search.sort is Sort.NEWEST:
        first = last - days + 1
        stop = Position(_begin(first), _LAST_ID[search.sort])
    else:
        last = first + days - 1
        stop = Position(_begin(last + 1) - _MOMENT, _LAST_ID[search.sort])
    if search.is_filtered:
        row = session.execute(_end_of_walk(search)).one_or_none()
        end = Position(*row) if row else None
        if end is None or _is_behind(end, stop, search.sort):
            # Walk to that row, even if incidents were opened since it was read: the next page begins after it.
            return Found(session.scalars(_walk(search, terms, 2 * WALK_ON_ROWS, end)).all(), end)
    return Found(_by_index(session, search, terms, first, last), stop)


def _by_index(session: Session, search: Search, terms: list[str], first: int, last: int) -> Sequence[Incident]:
    return session.scalars(_in_windows(search, terms, _windows(search.sort, first, last))).all()


def find_among_few(session: Session, search: Search) -> Found:
    """Like `find`, where the other filters leave few rows: each of them is compared."""
    terms, _ = _prepare(session, search.text)
    if not terms:
        return Found([])
    query = select(Incident).where(*_part(search, Incident), _has(Incident, terms))
    return Found(session.scalars(query.order_by(*in_order(Incident, search.sort)).limit(search.limit)).all())


def _prepare(session: Session, given: str) -> tuple[list[str], _Past | None]:
    """The terms, split as the database splits those of an incident, and the searchable incidents, if there are any.

    Characters that cannot be stored separate terms.
    """
    clean = given[:MOST_CHARACTERS].replace("\0", " ").encode(errors="replace").decode()
    terms = func.searchable_words(clean, type_=ARRAY(TEXT))
    # The count of the last VACUUM, ANALYZE or CREATE INDEX; -1 before the first one.
    counted = text("SELECT reltuples FROM pg_class WHERE oid = 'incident'::regclass").columns(reltuples=REAL)
    ends = (select(end(Incident.opened_at)).scalar_subquery() for end in (func.min, func.max))
    found, incidents, oldest, newest = session.execute(select(terms, counted.scalar_subquery(), *ends)).one()
    return list(dict.fromkeys(found)), _Past(int(incidents), oldest, newest) if oldest else None


def _part(search: Search, incident: type[Incident]) -> list[ColumnElement[bool]]:
    conditions = list(search.conditions(incident))
    return [*conditions, beyond(incident, search.after, search.sort)] if search.after else conditions


def _has(incident: type[Incident], terms: Sequence[str]) -> ColumnElement[bool]:
    """Whether a row matches the terms; each is quoted as the SQL function `words_query` does it."""
    day = cast(func.day_number(incident.opened_at), TEXT)
    return and_(*(incident.words.bool_op("@@")(cast("'" + day + f"/{term}':*", TSQUERY)) for term in terms))


def _walk(search: Search, terms: list[str], length: int, end: Position | None = None) -> Select[Incident]:
    """Those of the next `length` rows of the list that match the terms; not beyond `end`."""
    rows = select(Incident).options(undefer(Incident.words)).where(*_part(search, Incident))
    if end:
        rows = rows.where(not_(beyond(Incident, end, search.sort)))
    near = aliased(Incident, rows.order_by(*in_order(Incident, search.sort)).limit(length).subquery())
    return select(near).where(_has(near, terms)).order_by(*in_order(near, search.sort)).limit(search.limit)


def _in_windows(search: Search, terms: list[str], windows: Sequence[tuple[int, int]]) -> Select[Incident]:
    """Rows of one window of days after the other, by the index on terms, until the page is full.

    The windows are read in their order, since the right side of LATERAL is executed for one after the other.
    """
    given = (cast([window[place] for window in windows], ARRAY(INTEGER)) for place in (0, 1))
    window = func.unnest(*given).table_valued("first_day", "last_day").render_derived("window_of_days")
    columns = [column(each.name, each.type) for each in Incident.__table__.columns]
    found = func.incidents_with(cast(terms, ARRAY(TEXT)), window.c.first_day, window.c.last_day)
    incident = aliased(Incident, found.table_valued(*columns).lateral(), adapt_on_names=True)
    rows = select(incident).where(*_part(search, incident)).order_by(*in_order(incident, search.sort))
    of_window = rows.limit(search.limit).lateral("of_window")
    in_turn = aliased(Incident, of_window, adapt_on_names=True)
    return select(in_turn).select_from(window).join(of_window, true()).limit(search.limit)


def _end_of_walk(search: Search) -> Select[datetime, UUID]:
    """The last row of the long walk; no row when the list ends before it."""
    rows = select(Incident.opened_at, Incident.id).where(*_part(search, Incident))
    return rows.order_by(*in_order(Incident, search.sort)).offset(WALK_ON_ROWS - 1).limit(1)


def _is_behind(one: Position, other: Position, sort: Sort) -> bool:
    if one.opened_at == other.opened_at:
        return (one.id > other.id) is (sort is Sort.NEWEST)
    return (one.opened_at < other.opened_at) is (sort is Sort.NEWEST)


def _days(search: Search, past: _Past) -> tuple[int, int]:
    """First and last day of the rest of the list; the first is later than the last when nothing is left."""
    first = _day(max(filter(None, (past.oldest, search.since))))
    last = _day(min(filter(None, (past.newest, search.until))))
    if search.after:
        at, is_last_of_moment = search.after.opened_at, search.after.id == _LAST_ID[search.sort]
        if search.sort is Sort.NEWEST:
            last = min(last, _day(at - _MOMENT if is_last_of_moment else at))
        else:
            first = max(first, _day(at + _MOMENT if is_last_of_moment else at))
    return first, last


def _windows(sort: Sort, first: int, last: int) -> list[tuple[int, int]]:
    """First and last day of each window, in the order of the list."""
    windows: list[tuple[int, int]] = []
    days = 1
    while first <= last:
        if sort is Sort.NEWEST:
            windows.append((max(first, last - days + 1), last))
            last -= days
        else:
            windows.append((first, min(last, first + days - 1)))
            first += days
        days = min(2 * days, MOST_DAYS)
    return windows


def _day(at: datetime) -> int:
    return (at.astimezone(UTC).date() - _EPOCH).days


def _begin(day: int) -> datetime:
    return datetime.combine(_EPOCH + timedelta(days=day), time(), UTC)
