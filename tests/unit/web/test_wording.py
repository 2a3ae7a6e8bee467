"""Times and addresses in words."""

import pytest

from ims.core.wording import age, duration, web_address, words


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(None, "-"), (-3, "0:00"), (42.9, "0:42"), (725, "12:05"), (3600, "1 h 00 m"), (11_220, "3 h 07 m"),
     (190_800, "2 d 5 h")],
)  # fmt: skip
def test_durations(seconds: float | None, expected: str) -> None:
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(-1, "0 s"), (59, "59 s"), (60, "1 m"), (7199, "119 m"), (7200, "2 h"), (172_800, "2 d")]
)
def test_ages_have_one_unit(seconds: float, expected: str) -> None:
    assert age(seconds) == expected


@pytest.mark.parametrize(
    "value",
    [None, "", "javascript:alert(1)", " javascript:alert(1)", "data:text/html,x", "//example.org", "docs/x.md",
     "http://", "http://[", "HTTPS:"],
)  # fmt: skip
def test_what_is_no_web_address_becomes_no_link(value: str | None) -> None:
    assert web_address(value) is None


def test_a_web_address_stays_as_it_is() -> None:
    assert web_address("https://wiki.example.org/x?y=1") == "https://wiki.example.org/x?y=1"


def test_stored_names_become_words() -> None:
    assert words("in_progress") == "In progress"
