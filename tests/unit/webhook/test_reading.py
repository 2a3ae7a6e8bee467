"""A body is JSON, or the error says why not."""

import gzip

import pytest

from ims.alerts.bodies import response_body
from ims.alerts.episodes import Result
from ims.alerts.notifications import Parsed
from ims.core.errors import TooLarge
from ims.core.json_body import NotJson, read_json
from tests.support.notifications import SOURCE, notification


def test_huge_numbers_are_read() -> None:
    assert read_json(b'{"n": %s, "small": 12}' % (b"9" * 100_000)) == {"n": float("inf"), "small": 12}


@pytest.mark.parametrize("body", [b"", b"\x00", b"{", b"NaN", b"[-Infinity]", b"\xff", b"1 2"])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(NotJson):
        read_json(body)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b" \n", "it is empty"),
        (b'{"alerts":\n [1, nope]}', "syntax error at line 2, column 6"),
        (b'{"a": "\xff"}', "byte 8 is not valid UTF-8"),
        (b'{"a": NaN}', "JSON does not allow NaN and Infinity"),
        (gzip.compress(b"{}"), "it is compressed, which is not supported: send it uncompressed"),
    ],
    # A gzip body contains its time of creation: without fixed ids, pytest workers would collect different tests.
    ids=["blank", "syntax", "encoding", "constant", "gzip"],
)
def test_the_error_says_where_the_json_is_wrong(body: bytes, where: str) -> None:
    with pytest.raises(NotJson) as refused:
        read_json(body)
    assert refused.value.message == f"The body is not JSON: {where}."


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_a_body_nested_too_deeply_is_refused(opening: bytes) -> None:
    with pytest.raises(TooLarge):
        read_json(opening * 200_000)


def test_a_notification_that_the_database_refused_is_reported_as_rejected() -> None:
    parsed = Parsed((notification("Good"), notification("Bad")), (), places=(0, 1))
    answer = response_body(SOURCE, parsed, (Result.OPENED, Result.REJECTED))
    assert (answer["accepted"], answer["rejected"]) == (1, 1)
    assert answer["alerts"][1]["reason"] == "not_storable"
