"""Pagination of the REST API's lists, which are ordered by name, or by number with the newest first."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ims.api.fields import Cursor, Limit
from ims.core.paging import cut, name_in, number_in
from ims.core.schemas import Listing, RequestModel

L = TypeVar("L", bound=Listing[Any])
Row = TypeVar("Row")


class PageQuery(RequestModel):
    """Page of a list. A subclass adds filters; a cursor is valid only with the same filters."""

    limit: Limit = 50
    cursor: Cursor = None

    @property
    def after(self) -> str:
        """The page starts after this name; empty for the first page. Raises `Unprocessable`."""
        return name_in(self.cursor, self._filters) or ""

    @property
    def before(self) -> int | None:
        """The page starts below this number; None for the first page. Raises `Unprocessable`."""
        return number_in(self.cursor, self._filters)

    def page(
        self, listing: type[L], found: Sequence[Row], key: Callable[[Row], int | str], show: Callable[[Row], Any]
    ) -> L:
        """The page made of `found`, which starts where the page does and has one row more if there is another page."""
        rows, following = cut(found, self.limit, key, self._filters)
        return listing(items=[show(row) for row in rows], next=following)

    @property
    def _filters(self) -> list[str]:
        names = sorted(type(self).model_fields.keys() - PageQuery.model_fields.keys())
        return [repr(getattr(self, name)) for name in names]
