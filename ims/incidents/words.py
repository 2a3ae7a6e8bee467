"""Searching incidents by the words of their titles, descriptions and notes, in the order of the list.

Every word must occur, each as the beginning of one: `disk` finds `disks`. Punctuation only separates words, so `db-01`
finds what has words that begin with `db` and with `01`. Case does not count.

A common word is in too many rows to sort them all, and a rare one in too few to walk the list until a page is full. So
first the next 500 rows of the list are looked at, which fills a page when the words are common. If not, the index on
words gives the rows of a day, of the two before, of the four before: each word stands in it once for each day, so
nothing is read twice, and days that are not needed are not read. What a search costs at worst are the rows of the days
that hold the page.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, cast, column, func, select, true
from sqlalchemy.dialects.postgresql import ARRAY, INTEGER, TEXT, TSQUERY
from sqlalchemy.orm import Session, aliased, undefer

from ims.incidents.models import Incident
from ims.incidents.order import Position, Sort, beyond, in_order

WALK_ROWS: Final = 500
MOST_DAYS: Final = 64
"""Days that are gone through before it is looked whether the page is full."""
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
    words, oldest, newest = _prepare(session, search.words)
    if not words or oldest is None or newest is None:
        return []
    found = session.scalars(_walk(search, words)).all()
    windows = _windows(search, oldest, newest)
    if len(found) == search.limit or not windows:
        return found
    return session.scalars(_in_windows(search, words, windows)).all()


def find_among_few(session: Session, search: Search) -> Sequence[Incident]:
    """The same where the other filters leave few rows: those are looked at, one by one."""
    words, *_ = _prepare(session, search.words)
    if not words:
        return []
    query = select(Incident).where(*_part(search, Incident), _has(Incident, words))
    return session.scalars(query.order_by(*in_order(Incident, search.sort)).limit(search.limit)).all()


def _prepare(session: Session, given: str) -> tuple[list[str], datetime | None, datetime | None]:
    """The words as the database splits those of an incident, and when the first and the last incident were opened.

    What cannot be stored separates words.
    """
    clean = given[:MOST_CHARACTERS].replace("\0", " ").encode(errors="replace").decode()
    oldest, newest = func.min(Incident.opened_at), func.max(Incident.opened_at)
    words = func.searchable_words(clean, type_=ARRAY(TEXT))
    row = session.execute(select(words, select(oldest).scalar_subquery(), select(newest).scalar_subquery())).one()
    return list(row[0]), row[1], row[2]


def _part(search: Search, incident: type[Incident]) -> list[ColumnElement[bool]]:
    conditions = list(search.conditions(incident))
    return [*conditions, beyond(incident, search.after, search.sort)] if search.after else conditions


def _has(incident: type[Incident], words: list[str]) -> ColumnElement[bool]:
    """Whether a row that is at hand has the words; each is quoted as `words_query` does it."""
    day = cast(func.day_number(incident.opened_at), TEXT)
    return and_(*(incident.words.bool_op("@@")(cast("'" + day + f"/{word}':*", TSQUERY)) for word in words))


def _walk(search: Search, words: list[str]) -> Select[Incident]:
    """Among the next rows of the list, those with the words."""
    rows = select(Incident).options(undefer(Incident.words)).where(*_part(search, Incident))
    near = aliased(Incident, rows.order_by(*in_order(Incident, search.sort)).limit(WALK_ROWS).subquery())
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


def _windows(search: Search, oldest: datetime, newest: datetime) -> list[tuple[int, int]]:
    """First and last day of each step, from where the page begins to where the list ends."""
    first = _day(max(filter(None, (oldest, search.since))))
    last = _day(min(filter(None, (newest, search.until))))
    if search.after and search.sort is Sort.NEWEST:
        last = min(last, _day(search.after.opened_at))
    elif search.after:
        first = max(first, _day(search.after.opened_at))
    windows: list[tuple[int, int]] = []
    days = 1
    while first <= last:
        if search.sort is Sort.NEWEST:
            windows.append((max(first, last - days + 1), last))
            last -= days
        else:
            windows.append((first, min(last, first + days - 1)))
            first += days
        days = min(2 * days, MOST_DAYS)
    return windows


def _day(at: datetime) -> int:
    return at.astimezone(UTC).date().toordinal() - _EPOCH
