"""Searching incidents by the words of their titles, descriptions and notes, in the order of the list.

Every word must occur, each as the beginning of one: `disk` finds `disks`. Punctuation only separates words, so `db-01`
finds what has words that begin with `db` and with `01`. Case does not count.

A common word is in too many rows to sort them all, and a rare one in too few to walk the list until a page is full. So
first the next 500 rows of the list are looked at, which fills a page when the words are common. If not, the index on
words gives the rows of a day, of the two before, of the four before: each word stands in it once for each day, so
nothing is read twice, and days that are not needed are not read.

Where the words are so common that this would still be too much for one answer (effort.py), it has what was found so
far, perhaps nothing, and tells where the search stopped: by the index after some days, or by walking on, whichever
comes further. From there the next one goes on.
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
"""Rows of a filtered list that are looked at where the index would read too much: of a service that has few, all."""
MOST_DAYS: Final = 64
"""Days that are gone through before it is looked whether the page is full."""
MOST_CHARACTERS: Final = 1000
_EPOCH = date(1970, 1, 1)
# Of one moment no row stands behind these, in the order of the list: newest first by id, oldest first against it.
_LAST_ID: Final = {Sort.NEWEST: UUID(int=2**128 - 1), Sort.OLDEST: UUID(int=0)}
_MOMENT: Final = timedelta(microseconds=1)

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
    is_filtered: bool
    """Whether other filters than those of time leave rows out."""


@dataclass(frozen=True, slots=True)
class Found:
    """Rows with the words, and where the search stopped, None at the list's end. A full page needs no such place."""

    rows: Sequence[Incident]
    stopped: Position | None = None


@dataclass(frozen=True, slots=True)
class _Past:
    """What there is to be searched: about how many incidents, opened from when to when."""

    incidents: int
    oldest: datetime
    newest: datetime


def find(session: Session, search: Search) -> Found:
    """The next rows of the list that have all the words; nothing when there is no word among the punctuation."""
    words, past = _prepare(session, search.words)
    if not words or past is None:
        return Found([])
    found = session.scalars(_walk(search, words, WALK_ROWS)).all()
    first, last = _days(search, past)
    if len(found) == search.limit or first > last:
        return Found(found)
    all_days = _day(past.newest) - _day(past.oldest) + 1
    days = affordable_days(session, words, _has, past.incidents, all_days, is_filtered=search.is_filtered)
    if days > last - first:
        return Found(_by_index(session, search, words, first, last))
    return _find_some(session, search, words, (first, last), days)


def _find_some(session: Session, search: Search, words: list[str], left: tuple[int, int], days: int) -> Found:
    """As far as the index comes in `days` of those that are `left`, or a long walk if that comes further.

    Among all incidents it never does.
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
            # To that row, whatever was opened since it was read: the next page begins behind it.
            return Found(session.scalars(_walk(search, words, 2 * WALK_ON_ROWS, end)).all(), end)
    return Found(_by_index(session, search, words, first, last), stop)


def _by_index(session: Session, search: Search, words: list[str], first: int, last: int) -> Sequence[Incident]:
    return session.scalars(_in_windows(search, words, _windows(search.sort, first, last))).all()


def find_among_few(session: Session, search: Search) -> Found:
    """The same where the other filters leave few rows: those are looked at, one by one."""
    words, _ = _prepare(session, search.words)
    if not words:
        return Found([])
    query = select(Incident).where(*_part(search, Incident), _has(Incident, words))
    return Found(session.scalars(query.order_by(*in_order(Incident, search.sort)).limit(search.limit)).all())


def _prepare(session: Session, given: str) -> tuple[list[str], _Past | None]:
    """The words as the database splits those of an incident, and what it has; None without incidents.

    What cannot be stored separates words.
    """
    clean = given[:MOST_CHARACTERS].replace("\0", " ").encode(errors="replace").decode()
    words = func.searchable_words(clean, type_=ARRAY(TEXT))
    # As VACUUM, ANALYZE or the making of an index last counted them; -1 before the first time.
    counted = text("SELECT reltuples FROM pg_class WHERE oid = 'incident'::regclass").columns(reltuples=REAL)
    ends = (select(end(Incident.opened_at)).scalar_subquery() for end in (func.min, func.max))
    found, incidents, oldest, newest = session.execute(select(words, counted.scalar_subquery(), *ends)).one()
    return list(dict.fromkeys(found)), _Past(int(incidents), oldest, newest) if oldest else None


def _part(search: Search, incident: type[Incident]) -> list[ColumnElement[bool]]:
    conditions = list(search.conditions(incident))
    return [*conditions, beyond(incident, search.after, search.sort)] if search.after else conditions


def _has(incident: type[Incident], words: Sequence[str]) -> ColumnElement[bool]:
    """Whether a row that is at hand has the words; each is quoted as `words_query` does it."""
    day = cast(func.day_number(incident.opened_at), TEXT)
    return and_(*(incident.words.bool_op("@@")(cast("'" + day + f"/{word}':*", TSQUERY)) for word in words))


def _walk(search: Search, words: list[str], length: int, end: Position | None = None) -> Select[Incident]:
    """Among the next `length` rows of the list, those with the words; no further than to `end`."""
    rows = select(Incident).options(undefer(Incident.words)).where(*_part(search, Incident))
    if end:
        rows = rows.where(not_(beyond(Incident, end, search.sort)))
    near = aliased(Incident, rows.order_by(*in_order(Incident, search.sort)).limit(length).subquery())
    return select(near).where(_has(near, words)).order_by(*in_order(near, search.sort)).limit(search.limit)


def _in_windows(search: Search, words: list[str], windows: Sequence[tuple[int, int]]) -> Select[Incident]:
    """Rows of some days after those of others, by the index on words; no further than to a full page.

    The windows are gone through in their order, for what stands to the right of LATERAL needs them one by one.
    """
    given = (cast([window[place] for window in windows], ARRAY(INTEGER)) for place in (0, 1))
    window = func.unnest(*given).table_valued("first_day", "last_day").render_derived("window_of_days")
    columns = [column(each.name, each.type) for each in Incident.__table__.columns]
    found = func.incidents_with(cast(words, ARRAY(TEXT)), window.c.first_day, window.c.last_day)
    incident = aliased(Incident, found.table_valued(*columns).lateral(), adapt_on_names=True)
    rows = select(incident).where(*_part(search, incident)).order_by(*in_order(incident, search.sort))
    of_window = rows.limit(search.limit).lateral("of_window")
    in_turn = aliased(Incident, of_window, adapt_on_names=True)
    return select(in_turn).select_from(window).join(of_window, true()).limit(search.limit)


def _end_of_walk(search: Search) -> Select[datetime, UUID]:
    """The last row of the long walk, nothing when the list ends before."""
    rows = select(Incident.opened_at, Incident.id).where(*_part(search, Incident))
    return rows.order_by(*in_order(Incident, search.sort)).offset(WALK_ON_ROWS - 1).limit(1)


def _is_behind(one: Position, other: Position, sort: Sort) -> bool:
    if one.opened_at == other.opened_at:
        return (one.id > other.id) is (sort is Sort.NEWEST)
    return (one.opened_at < other.opened_at) is (sort is Sort.NEWEST)


def _days(search: Search, past: _Past) -> tuple[int, int]:
    """First and last day of what is left of the list; the first is the later one when nothing is."""
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
    """First and last day of each step, in the order of the list."""
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
