"""Patterns of rules and parameters."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims.policy.patterns import PATTERN_LENGTH, check_pattern


@pytest.mark.parametrize(
    "pattern",
    [
        "^web-[0-9]+$",
        r"(a|b)+",
        r"a{2,4}",
        r"(?:foo|bar)?baz*",
        r"[(+]+x+",
        r"\(a+\)+",
        r"[]+]+(b)",
        r"[^]+]*",
        "(ab{2})+",
    ],
)
def test_a_pattern_without_nested_repeats_is_accepted(pattern: str) -> None:
    assert check_pattern(pattern) is None


@pytest.mark.parametrize("pattern", ["(a+)+", "(a*)*b", "(?:x+y?)*", "((a+)b)+", r"(\w{2,})+$", "(a+){2,9}", "(a|b+)*"])
def test_a_repeat_inside_a_repeat_is_refused(pattern: str) -> None:
    assert "repeat" in (check_pattern(pattern) or "")


def test_a_broken_pattern_is_refused_with_its_position() -> None:
    assert "position 2" in (check_pattern("a(b") or "")


def test_a_pattern_that_python_calls_ambiguous_is_refused() -> None:
    assert "ambiguous" in (check_pattern("[[a]") or "")


def test_a_pattern_has_a_length_limit() -> None:
    assert check_pattern("a" * PATTERN_LENGTH) is None
    assert "longer" in (check_pattern("a" * (PATTERN_LENGTH + 1)) or "")


@given(st.text(alphabet="ab()[]{}*+?\\^$|.,12-]", max_size=30))
def test_any_text_gets_an_answer_and_what_is_accepted_compiles(pattern: str) -> None:
    if check_pattern(pattern) is None:
        re.compile(pattern)
