"""Cursors of lists."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims.core.errors import Invalid
from ims.core.paging import cut, decode_cursor, encode_cursor, name_in, number_in

storable = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.lists(storable), st.lists(st.text()))
def test_a_cursor_gives_back_its_position(position: list[str], bound_to: list[str]) -> None:
    assert decode_cursor(encode_cursor(position, bound_to), bound_to) == position


def test_a_cursor_of_another_filter_is_refused() -> None:
    cursor = encode_cursor(["2026", "x"], ["open", "newest"])
    with pytest.raises(Invalid) as refused:
        decode_cursor(cursor, ["resolved", "newest"])
    assert refused.value.fields[0].field == "cursor"


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "é", "%", base64.b64encode(b"[1]").decode(), base64.b64encode(b"{}").decode(),
     base64.b64encode(b"[[" * 50_000).decode()],
)  # fmt: skip
def test_a_damaged_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid):
        decode_cursor(cursor, [])


@pytest.mark.parametrize("text", ["\\u0000", "a\\u0000b", "\\ud800", "\\udfff\\ud800"])
def test_a_forged_position_that_no_database_could_hold_is_refused(text: str) -> None:
    mine = encode_cursor(["position"], ["open"])
    forged = base64.urlsafe_b64decode(mine + "=" * (-len(mine) % 4)).replace(b"position", text.encode())
    with pytest.raises(Invalid):
        name_in(base64.urlsafe_b64encode(forged).decode(), ["open"])


@pytest.mark.parametrize("position", [[], ["x"], ["-1"], ["1" * 19], ["1", "2"], ["٣"], [""]])
def test_a_forged_position_that_is_no_number_is_refused(position: list[str]) -> None:
    with pytest.raises(Invalid):
        number_in(encode_cursor(position, ["open"]), ["open"])


def test_a_page_is_cut_where_the_next_one_begins() -> None:
    rows, following = cut([9, 7, 5], 2, int, ["open"])
    assert (rows, number_in(following, ["open"]), name_in(following, ["open"])) == ([9, 7], 7, "7")
    assert cut([9, 7], 2, int, ["open"]) == ([9, 7], None)
    assert number_in(None, ["open"]) is None
