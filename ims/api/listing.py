"""Lists of the REST API, a page at a time: one that is ordered by a name, or by a number, newest first."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ims.api.fields import Cursor, Limit
from ims.core.paging import cut, name_in, number_in
from ims.core.schemas import Listing, RequestModel

L = TypeVar("L", bound=Listing[Any])
Row = TypeVar("Row")


class PageQuery(RequestModel):
    """Which page of a list. A query that extends it adds filters; a cursor belongs to them."""

    limit: Limit = 50
    cursor: Cursor = None

    @property
    def after(self) -> str:
        """The name behind which the page begins; empty for the first page. Raises `Unprocessable`."""
        return name_in(self.cursor, self._filters) or ""

    @property
    def before(self) -> int | None:
        """The number below which the page begins; none for the first page. Raises `Unprocessable`."""
        return number_in(self.cursor, self._filters)

    def page(
        self, listing: type[L], found: Sequence[Row], key: Callable[[Row], int | str], show: Callable[[Row], Any]
    ) -> L:
        """A page of `found`, which begins where the page does and has at least one row more, if there are more."""
        rows, following = cut(found, self.limit, key, self._filters)
        return listing(items=[show(row) for row in rows], next=following)

    @property
    def _filters(self) -> list[str]:
        names = sorted(type(self).model_fields.keys() - PageQuery.model_fields.keys())
        return [repr(getattr(self, name)) for name in names]
