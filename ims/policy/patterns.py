"""Patterns of a policy, in RE2 syntax as in Prometheus and Alertmanager: a match takes time linear in the value.

The matched values come from outside, from any sender of alerts. A crafted value can keep Python's `re` busy for hours,
but not RE2.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import re2

PATTERN_LENGTH = 256
PATTERN_MEMORY: Final = 1024 * 1024
"""Bytes that one compiled pattern may use, including the states that RE2 caches during a match."""

_TOO_LARGE: Final = "pattern too large"
_WHOLE: Final = ("missing )", "unexpected )")
"""Failures for which RE2 names the whole pattern."""


class PatternInvalid(ValueError):
    """A regular expression is invalid; the message says where and why."""


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """A predicate: whether the pattern matches a whole value, as in Alertmanager. Raises `PatternInvalid`."""
    try:
        matches = re2.compile(pattern, _options()).fullmatch
    except (re2.error, UnicodeEncodeError) as error:
        raise PatternInvalid(_explain(pattern, error)) from None
    # With bytes the wrapper need not convert group positions to characters. A lone surrogate is one character, as in
    # Python.
    return lambda value: matches(value.encode("utf-8", "surrogatepass")) is not None


def check_pattern(pattern: str) -> str | None:
    """Why a regular expression is invalid and how to correct it; None if it is valid."""
    if len(pattern) > PATTERN_LENGTH:
        return f"is longer than {PATTERN_LENGTH} characters: make it shorter."
    try:
        compile_pattern(pattern)
    except PatternInvalid as error:
        return str(error)
    return None


def _options() -> re2.Options:
    options = re2.Options()
    options.max_mem = PATTERN_MEMORY
    options.never_capture = True
    # RE2 would write to standard error instead of to the log.
    options.log_errors = False
    return options


def _explain(pattern: str, error: Exception) -> str:
    """The error with its position. RE2 names the text where it stopped, but not the position of that text."""
    if isinstance(error, UnicodeEncodeError):
        return f"is not a valid RE2 expression at position {error.start + 1}: half a surrogate pair."
    code, text = _failure(pattern)
    if code.startswith(_TOO_LARGE):
        return "needs too much memory when compiled: use smaller repetition counts."
    start = _start_of_failure(pattern, code, text)
    return f"is not a valid RE2 expression at position {start + 1}: {_reason(code, text, pattern[start:])}."


def _start_of_failure(pattern: str, code: str, text: str) -> int:
    """Index at which the failure begins: RE2 reads from left to right, so a prefix of the pattern fails with it too."""
    ends = range(len(pattern))
    if code == "missing )":
        # The unclosed parenthesis follows the longest prefix that is valid.
        return max(end for end in ends if not _failure(pattern[:end])[0])
    before = max(end for end in ends if _failure(pattern[:end]) != (code, text))
    return before if code in _WHOLE else max(pattern.rfind(text, 0, before + 1), 0)


def _reason(code: str, text: str, rest: str) -> str:
    if text in ("(?=", "(?!", "(?<=", "(?<!"):
        return f"RE2 has no lookahead and no lookbehind, such as {text}"
    if rest.startswith("(?P=") or (code == "invalid escape sequence" and text[1:].isdigit()):
        return "RE2 has no backreferences"
    if code == "invalid perl operator":
        return f"RE2 has no {text}"
    return code if code == "missing ]" else f"{code} {text}".rstrip()


def _failure(pattern: str) -> tuple[str, str]:
    """RE2's error code and the text that it names; both empty if the pattern is valid."""
    try:
        re2.compile(pattern, _options())
    except re2.error as error:
        code, _, text = error.args[0].decode("utf-8", "replace").partition(": ")
        if code == "trailing \\":
            return "trailing", "\\"
        return (code, "") if code in _WHOLE else (code, text)
    return "", ""
