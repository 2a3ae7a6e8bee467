"""What a search for words may cost in one answer, counted in entries of the index on words that are read.

The index answers for two words by reading all entries of both. Words that are common and never meet would have it read
whole to find nothing, longer with each incident there is. So an answer searches no more days than it may, and the next
one goes on from there.
"""

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import ColumnElement, func, literal, select, tablesample
from sqlalchemy.orm import Session, aliased

from ims.incidents.models import Incident

MOST_ENTRIES: Final = 90_000
"""Entries that one answer may read: about 6 ms."""
SAMPLED_ROWS: Final = 300
MOST_SAMPLED_WORDS: Final = 8
# In the time that an entry takes to be read, measured: to hold an entry of the rarest word against those of the other
# words, and to fetch a row that has them all when only the other filters can leave it out.
_COMPARED: Final = 4
_FETCHED: Final = 60

Has = Callable[[type[Incident], Sequence[str]], ColumnElement[bool]]
"""The condition that an incident has all of the words."""


def affordable_days(
    session: Session, words: Sequence[str], has: Has, incidents: int, days: int, *, is_filtered: bool
) -> int:
    """How many of all `days`, on which so many `incidents` were opened, one answer may search; at least one.

    How common the words are is estimated from incidents all over the table, the same ones while it does not change.
    """
    fetched = _FETCHED if is_filtered else 0
    if incidents * (len(words) + _COMPARED + fetched) <= MOST_ENTRIES:
        return days
    percent = min(100.0, 100 * SAMPLED_ROWS / incidents)
    sampled = aliased(Incident, tablesample(Incident.__table__, func.system(percent), seed=literal(0)))
    of_each = [func.count().filter(has(sampled, [word])) for word in words[:MOST_SAMPLED_WORDS]]
    sample = select(func.count(), func.count().filter(has(sampled, words)), *of_each).select_from(sampled)
    rows, with_all, *with_each = session.execute(sample).one()
    if not rows:
        return days
    read = sum(with_each) * len(words) / len(with_each)
    cost = incidents * (read + _COMPARED * min(with_each) + fetched * with_all) / rows
    return days if cost <= MOST_ENTRIES else max(1, int(days * MOST_ENTRIES / cost))
