"""The most that one answer of a search may cost, counted in entries of the search index that are read.

For two terms the index reads all entries of both. Terms that are common but never occur together would make it read all
their entries to find nothing, and longer with each incident. So one answer searches a limited number of days, and the
next one continues from there.
"""

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import ColumnElement, func, literal, select, tablesample
from sqlalchemy.orm import Session, aliased

from ims.incidents.models import Incident

MOST_ENTRIES: Final = 90_000
"""Index entries that one answer may read, which takes about 6 ms."""
SAMPLED_ROWS: Final = 300
MOST_SAMPLED_TERMS: Final = 8
# Measured, in units of the time to read one entry: comparing an entry of the rarest term with those of the other terms,
# and fetching a row that has all terms to apply the other filters.
_COMPARED: Final = 4
_FETCHED: Final = 60

Has = Callable[[type[Incident], Sequence[str]], ColumnElement[bool]]
"""The condition that an incident matches all of the terms."""


def affordable_days(
    session: Session, terms: Sequence[str], has: Has, incidents: int, days: int, *, is_filtered: bool
) -> int:
    """How many of all `days`, on which `incidents` were opened in total, one answer may search; at least one.

    The frequency of the terms is estimated from a sample of the table, the same one while the table does not change.
    """
    fetched = _FETCHED if is_filtered else 0
    if incidents * (len(terms) + _COMPARED + fetched) <= MOST_ENTRIES:
        return days
    percent = min(100.0, 100 * SAMPLED_ROWS / incidents)
    sampled = aliased(Incident, tablesample(Incident.__table__, func.system(percent), seed=literal(0)))
    of_each = [func.count().filter(has(sampled, [term])) for term in terms[:MOST_SAMPLED_TERMS]]
    sample = select(func.count(), func.count().filter(has(sampled, terms)), *of_each).select_from(sampled)
    rows, with_all, *with_each = session.execute(sample).one()
    if not rows:
        return days
    read = sum(with_each) * len(terms) / len(with_each)
    cost = incidents * (read + _COMPARED * min(with_each) + fetched * with_all) / rows
    return days if cost <= MOST_ENTRIES else max(1, int(days * MOST_ENTRIES / cost))
