"""The filters of the incident list in the query string: parsed, written, and bound to the cursor of the next page.

To add a filter, add it to `FIELDS`: its query parameter, its attribute in `Filters`, and the values it accepts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from ims.core.errors import FieldError, Invalid, Unprocessable
from ims.core.paging import decode_cursor, encode_cursor
from ims.incidents.inputs import SEVERITIES, TITLE_LENGTH
from ims.incidents.models import Status
from ims.incidents.queries import UNRESOLVED, Filters, Page, Position, Sort

ANY_UNRESOLVED: Final = "unresolved"
EARLIEST_YEAR: Final = 1970
LATEST_YEAR: Final = 2199


class Wrong(ValueError):
    """A parameter has an invalid value. The message completes a sentence that begins with the parameter's name."""


@dataclass(frozen=True, slots=True)
class Field:
    """One filter. `read` raises `Wrong`; `write` returns text that `read` accepts, empty for no filter."""

    parameter: str
    attribute: str
    read: Callable[[str], Any]
    write: Callable[[Any], str] = str
    label: str = ""
    """Its label on the page, set only for the less common filters in the menu "More"."""


def _statuses(text: str) -> tuple[Status, ...]:
    if text == ANY_UNRESOLVED:
        return UNRESOLVED
    if text not in set(Status):
        raise Wrong(f"must be {ANY_UNRESOLVED}, {', '.join(Status)}")
    return (Status(text),)


def status_word(statuses: tuple[Status, ...]) -> str:
    """The value of the parameter `status`."""
    if statuses == UNRESOLVED:
        return ANY_UNRESOLVED
    return statuses[0] if statuses else ""


def _severity(text: str) -> str:
    if text not in set(SEVERITIES):
        raise Wrong(f"must be {', '.join(SEVERITIES)}")
    return text


def _text(text: str) -> str:
    if "\0" in text or len(text) > TITLE_LENGTH:
        raise Wrong(f"must be at most {TITLE_LENGTH} characters, without NUL")
    return text


def _search(text: str) -> str:
    return " ".join(_text(text).split())


def _moment(text: str) -> datetime:
    """A time, to the second; UTC if it has no offset."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Wrong("must be a time such as 2026-03-01 or 2026-03-01T03:12, in UTC") from None
    if not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
        raise Wrong(f"must be between the years {EARLIEST_YEAR} and {LATEST_YEAR}")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)


def _instant(moment: datetime | str) -> str:
    """In the format of an HTML `datetime-local` input."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S") if isinstance(moment, datetime) else ""


FIELDS: Final = (
    Field("status", "statuses", _statuses, status_word),
    Field("service", "service", _text),
    Field("severity", "severity", _severity),
    Field("q", "search", _search),
    Field("environment", "environment", _text, label="Environment"),
    Field("assignee", "assignee", _text, label="Assignee"),
    Field("team", "team", _text, label="Team"),
    Field("since", "since", _moment, _instant, label="Opened from"),
    Field("until", "until", _moment, _instant, label="Opened before"),
)


@dataclass(frozen=True, slots=True)
class Listing:
    """One list: which incidents, in which order, starting after which position."""

    filters: Filters
    sort: Sort
    after: Position | None

    @property
    def is_everything(self) -> bool:
        """Whether no filter, order or cursor is set: then the page is the overview."""
        return self.filters == Filters() and self.sort is Sort.NEWEST and self.after is None

    @property
    def further(self) -> list[tuple[Field, str]]:
        """The filters of the menu "More" with their values; an empty value means the filter is not set."""
        texts = written(self.filters, self.sort)
        return [(field, texts[field.parameter]) for field in FIELDS if field.label]

    def parameters(self, **other: str) -> dict[str, str]:
        """The filters as query parameters; `other` adds parameters or overrides them."""
        return {name: value for name, value in {**written(self.filters, self.sort), **other}.items() if value}


def read_listing(given: Mapping[str, str]) -> Listing:
    """Parse the query parameters. Raises `Invalid` naming every invalid parameter."""
    values: dict[str, Any] = {}
    wrong = []
    for field in FIELDS:
        if text := given.get(field.parameter, ""):
            try:
                values[field.attribute] = field.read(text)
            except Wrong as reason:
                wrong.append(FieldError(field.parameter, str(reason)))
    order = given.get("sort") or Sort.NEWEST
    if order not in set(Sort):
        wrong.append(FieldError("sort", f"must be {', '.join(Sort)}"))
    if wrong:
        raise Invalid(fields=wrong)
    filters, sort = Filters(**values), Sort(order)
    return Listing(filters, sort, _position(given.get("cursor", ""), filters, sort))


def written(filters: Filters, sort: Sort) -> dict[str, str]:
    """Every filter as a query parameter; an empty value means no filter."""
    texts = {field.parameter: field.write(getattr(filters, field.attribute) or "") for field in FIELDS}
    return {**texts, "sort": "" if sort is Sort.NEWEST else sort.value}


def next_page(filters: Filters, sort: Sort, page: Page) -> dict[str, str] | None:
    """The query parameters of the next page; None if this is the last."""
    if page.next is None:
        return None
    cursor = encode_cursor(page.next.texts, _bound_to(filters, sort))
    return {name: value for name, value in {**written(filters, sort), "cursor": cursor}.items() if value}


def _position(cursor: str, filters: Filters, sort: Sort) -> Position | None:
    """Where the page begins. Raises `Unprocessable` for a cursor of another list."""
    if not cursor:
        return None
    parts = decode_cursor(cursor, _bound_to(filters, sort))
    try:
        return Position.read(parts)
    except ValueError as error:
        raise Unprocessable(fields=[FieldError("cursor", "is invalid: start with the first page")]) from error


def _bound_to(filters: Filters, sort: Sort) -> list[str]:
    return list(written(filters, sort).values())
