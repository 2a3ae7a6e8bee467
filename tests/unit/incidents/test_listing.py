"""The list's filter in an address: read, written again, and bound to its cursor."""

from dataclasses import fields
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from ims.core.errors import Invalid, Unprocessable
from ims.core.paging import encode_cursor
from ims.incidents.models import Status
from ims.incidents.queries import UNRESOLVED, Filters, Page, Position, Sort
from ims.web.incident_filters import FIELDS, next_page, read_listing, written

EVERYTHING = {
    "status": "unresolved", "service": "checkout", "severity": "high", "q": "disk full", "environment": "production",
    "assignee": "bob", "team": "payments", "since": "2026-03-01T03:00:00", "until": "2026-03-02T03:12:07",
    "sort": "oldest",
}  # fmt: skip


def test_every_filter_has_its_parameter() -> None:
    assert {field.attribute for field in FIELDS} == {field.name for field in fields(Filters)}


def test_an_address_is_read_and_written_again_as_it_was() -> None:
    listing = read_listing(EVERYTHING)
    assert listing.filters == Filters(
        statuses=UNRESOLVED, service="checkout", environment="production", severity="high", assignee="bob",
        team="payments", search="disk full", since=datetime(2026, 3, 1, 3, tzinfo=UTC),
        until=datetime(2026, 3, 2, 3, 12, 7, tzinfo=UTC),
    )  # fmt: skip
    assert written(listing.filters, listing.sort) == EVERYTHING
    assert [value for _, value in listing.further] == ["production", "bob", "payments", "2026-03-01T03:00:00",
                                                       "2026-03-02T03:12:07"]  # fmt: skip


def test_nothing_asked_is_everything() -> None:
    assert read_listing({"status": "", "since": "", "cursor": ""}).is_everything
    assert not read_listing({"team": "payments"}).is_everything


@pytest.mark.parametrize(
    ("text", "hour"), [("2026-03-01", 0), ("2026-03-01T03:00:00+01:00", 2), ("2026-03-01T03:00:00.999Z", 3)]
)
def test_a_time_is_utc_to_the_second(text: str, hour: int) -> None:
    assert read_listing({"since": text}).filters.since == datetime(2026, 3, 1, hour, tzinfo=UTC)


@pytest.mark.parametrize("field", [field.parameter for field in FIELDS])
def test_a_cursor_belongs_to_one_value_of_each_filter(field: str) -> None:
    listing = read_listing(EVERYTHING)
    page = Page([], Position(datetime(2026, 3, 1, 4, tzinfo=UTC), uuid4()))
    address = next_page(listing.filters, listing.sort, page)
    assert address
    assert read_listing(address).after == page.next
    other = {"status": Status.OPEN.value, "severity": "low", "since": "2026-03-01", "until": "2026-03-03"}
    with pytest.raises(Invalid) as raised:
        read_listing({**address, field: other.get(field, "other")})
    assert raised.value.fields[0].field == "cursor"


@pytest.mark.parametrize(
    "texts",
    [["2026-03-01T04:00:00", str(uuid4())], ["0001-01-01T00:00:00+14:00", str(uuid4())],
     ["9999-12-31T23:59:59.999999-14:00", str(uuid4())], ["2026-03-01T04:00:00Z", "x"], ["2026-03-01T04:00:00Z"],
     ["x", "x"], []],
)  # fmt: skip
def test_a_cursor_with_an_impossible_place_is_damaged(texts: list[str]) -> None:
    filters = Filters(search="disk")
    cursor = encode_cursor(texts, list(written(filters, Sort.NEWEST).values()))
    with pytest.raises(Unprocessable) as raised:
        read_listing({"q": "disk", "cursor": cursor})
    assert "is invalid: start with the first page" in raised.value.fields[0].message


def test_every_wrong_parameter_is_named() -> None:
    wrong = {"status": "x", "severity": "x", "since": "yesterday", "until": "0001-01-01T00:00+14:00", "sort": "x",
             "team": "x" * 201, "assignee": "\0"}  # fmt: skip
    with pytest.raises(Invalid) as raised:
        read_listing(wrong)
    assert {one.field for one in raised.value.fields} == set(wrong)


def test_the_last_page_has_no_next() -> None:
    assert next_page(Filters(), Sort.NEWEST, Page([], None)) is None
