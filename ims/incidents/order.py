"""The orders of the list, and where a page of it begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_

from ims.incidents.models import Incident


class Sort(StrEnum):
    """Orders of the list; the index of every filter supports them."""

    NEWEST = "newest"
    OLDEST = "oldest"


@dataclass(frozen=True, slots=True)
class Position:
    """The row after which a page begins; the row need not exist any more."""

    opened_at: datetime
    id: UUID

    @property
    def texts(self) -> list[str]:
        """The position as the texts of a cursor."""
        return [self.opened_at.isoformat(), str(self.id)]

    @classmethod
    def read(cls, texts: Sequence[str]) -> "Position":
        """From a cursor. Raises `ValueError` for an invalid one, and for times in the first or last possible year."""
        opened_at, own_id = texts
        moment = datetime.fromisoformat(opened_at)
        if moment.tzinfo is None or moment.year in (MINYEAR, MAXYEAR):
            raise ValueError
        return cls(moment, UUID(own_id))


def in_order(incident: type[Incident], sort: Sort) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """The columns to order by."""
    if sort is Sort.NEWEST:
        return incident.opened_at.desc(), incident.id.asc()
    return incident.opened_at.asc(), incident.id.desc()


def beyond(incident: type[Incident], after: Position, sort: Sort) -> ColumnElement[bool]:
    """Rows after a position. The first half alone bounds the index scan."""
    opened, own_id = incident.opened_at, incident.id
    if sort is Sort.NEWEST:
        return and_(opened <= after.opened_at, or_(opened < after.opened_at, own_id > after.id))
    return and_(opened >= after.opened_at, or_(opened > after.opened_at, own_id < after.id))
