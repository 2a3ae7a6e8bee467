"""Patterns of rules, windows and parameters: RE2's syntax, and a match that no value can make slow."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims.policy.patterns import PATTERN_LENGTH, PatternInvalid, check_pattern, compile_pattern


@pytest.mark.parametrize(
    "pattern",
    [
        "^web-[0-9]+$",
        r"(a|b)+",
        r"a{2,4}",
        r"(?:foo|bar)?baz*",
        r"[(+]+x+",
        r"\(a+\)+",
        r"[^]+]*",
        "(ab{2})+",
        "(?i)web",
    ],
)
def test_an_ordinary_pattern_is_accepted(pattern: str) -> None:
    assert check_pattern(pattern) is None


@pytest.mark.parametrize("pattern", ["(a+)+", "(a*)*b", "(?:x+y?)*", "((a+)b)+", r"(\w{2,})+$", "(a+){2,9}", "(a|b+)*"])
def test_a_repeat_in_a_repeat_is_accepted(pattern: str) -> None:
    assert check_pattern(pattern) is None


def test_a_value_made_to_search_for_ever_is_answered() -> None:
    """Python's `re` would be killed by the time limit of the tests: each further `a` doubles its work."""
    fits = compile_pattern("(a|a)+(a+)+b")
    assert not fits("a" * 1024)
    assert fits("a" * 1024 + "b")


@pytest.mark.parametrize(
    ("pattern", "position", "reason"),
    [
        ("a(b", 2, "missing )"),
        ("(a)(b(c)", 4, "missing )"),
        ("a)b", 2, "unexpected )"),
        ("ab[c", 3, "missing ]"),
        ("x*y**", 4, "bad repetition operator **"),
        ("a++", 2, "bad repetition operator ++"),
        ("*a", 1, "no argument for repetition operator *"),
        ("a{1001}", 2, "invalid repetition size {1001}"),
        ("é[b-a]", 3, "invalid character class range b-a"),
        ("ab\\", 3, "trailing \\"),
        (r"a\Z", 2, r"invalid escape sequence \Z"),
        ("(?>a)", 1, "RE2 has no (?>"),
        ("[(?=](?=x)", 6, "RE2 has no lookahead"),
        ("a(?!b)", 2, "RE2 has no lookahead"),
        ("(?<=a)b", 1, "lookbehind"),
        ("a(?<!b)", 2, "lookbehind"),
        (r"(a)\\\1", 6, "RE2 has no backreferences"),
        ("(?P<n>a)(?P=n)", 9, "RE2 has no backreferences"),
        ("a\ud800", 2, "half a surrogate pair"),
    ],
)
def test_a_pattern_that_re2_does_not_accept_is_refused_with_the_place(pattern: str, position: int, reason: str) -> None:
    problem = check_pattern(pattern) or ""
    assert f"at position {position}: " in problem
    assert reason in problem


def test_a_pattern_that_is_not_accepted_cannot_be_matched_either() -> None:
    with pytest.raises(PatternInvalid, match="position 1"):
        compile_pattern("(?=a)")


def test_a_pattern_has_a_length_limit() -> None:
    assert check_pattern("a" * PATTERN_LENGTH) is None
    assert "longer" in (check_pattern("a" * (PATTERN_LENGTH + 1)) or "")


def test_a_pattern_has_a_memory_limit() -> None:
    assert "memory" in (check_pattern(r"(\pL{30}){30}") or "")


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        ("web", "web", True),
        ("web", "web-1", False),
        ("web", "my-web", False),
        ("a|b", "ab", False),
        ("web$", "web\n", False),
        ("a.b", "a\nb", False),
        ("(?s)a.b", "a\nb", True),
        (".", "é", True),
        ("é+", "éé", True),
        # As in Prometheus, and unlike Python, these mean ASCII only.
        (r"\d", "٣", False),
        (r"\w", "é", False),
        (r"\pL", "é", True),
        (".*", "a\x00b", True),
        (".*", "\ud800", True),
        ("", "", True),
    ],
)
def test_a_pattern_matches_the_whole_value(pattern: str, value: str, fits: bool) -> None:
    assert compile_pattern(pattern)(value) is fits


@given(st.text(alphabet="ab()[]{}*+?\\^$|.,12-<>=!:P]", max_size=30))
def test_any_pattern_gets_an_answer(pattern: str) -> None:
    problem = check_pattern(pattern)
    if problem is None:
        assert compile_pattern(pattern)("a") in (True, False)
    elif (found := re.search(r"at position (\d+)", problem)) is not None:
        assert 1 <= int(found[1]) <= len(pattern)


@given(st.text(alphabet="ab()[]*?|.-", max_size=12), st.text(alphabet="ab-", max_size=6))
def test_what_both_know_means_the_same_as_in_python(pattern: str, value: str) -> None:
    try:
        expected = re.fullmatch(pattern, value) is not None
    except (re.error, FutureWarning):
        return
    if check_pattern(pattern) is None:
        assert compile_pattern(pattern)(value) is expected
