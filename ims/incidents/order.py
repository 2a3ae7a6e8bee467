"""The orders of the list, and where a page of it begins."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_

from ims.incidents.models import Incident


class Sort(StrEnum):
    """Orders of the list that every index of a filter serves."""

    NEWEST = "newest"
    OLDEST = "oldest"


@dataclass(frozen=True, slots=True)
class Position:
    """The last row of a page."""

    opened_at: datetime
    id: UUID


def in_order(incident: type[Incident], sort: Sort) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """What to order by."""
    if sort is Sort.NEWEST:
        return incident.opened_at.desc(), incident.id.asc()
    return incident.opened_at.asc(), incident.id.desc()


def beyond(incident: type[Incident], after: Position, sort: Sort) -> ColumnElement[bool]:
    """Rows behind a position. The first half alone bounds the index scan."""
    opened, own_id = incident.opened_at, incident.id
    if sort is Sort.NEWEST:
        return and_(opened <= after.opened_at, or_(opened < after.opened_at, own_id > after.id))
    return and_(opened >= after.opened_at, or_(opened > after.opened_at, own_id < after.id))
