"""Patterns of a policy, in RE2's syntax as in Prometheus and Alertmanager: a match takes time linear in the value.

Values come from whoever can send an alert. Python's `re` can be made to search for hours by one of them; RE2 cannot.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import re2

PATTERN_LENGTH = 256
PATTERN_MEMORY: Final = 1024 * 1024
"""Bytes that one compiled pattern may take, including the states that RE2 remembers while it matches."""

_TOO_LARGE: Final = "pattern too large"
_WHOLE: Final = ("missing )", "unexpected )")
"""Failures for which RE2 names the whole pattern."""


class PatternInvalid(ValueError):
    """What is wrong with a regular expression, and where."""


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """A test of whether a pattern matches a whole value, as in Alertmanager. Raises `PatternInvalid`."""
    try:
        matches = re2.compile(pattern, _options()).fullmatch
    except (re2.error, UnicodeEncodeError) as error:
        raise PatternInvalid(_explain(pattern, error)) from None
    # Bytes spare the wrapper the positions of groups as characters. A lone surrogate is one character, as in Python.
    return lambda value: matches(value.encode("utf-8", "surrogatepass")) is not None


def check_pattern(pattern: str) -> str | None:
    """What is wrong with a regular expression, with the remedy; None if nothing is."""
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
    # RE2 would write to standard error, past the log.
    options.log_errors = False
    return options


def _explain(pattern: str, error: Exception) -> str:
    """The error with its place. RE2 names the text that it stopped at, but not where that is."""
    if isinstance(error, UnicodeEncodeError):
        return f"is not a valid RE2 expression at position {error.start + 1}: half a surrogate pair."
    code, text = _failure(pattern)
    if code.startswith(_TOO_LARGE):
        return "takes too much memory when compiled: use smaller repetition counts."
    start = _start_of_failure(pattern, code, text)
    return f"is not a valid RE2 expression at position {start + 1}: {_reason(code, text, pattern[start:])}."


def _start_of_failure(pattern: str, code: str, text: str) -> int:
    """Index where the failure begins: RE2 reads from left to right, so a part of the pattern fails alike."""
    ends = range(len(pattern))
    if code == "missing )":
        # The parenthesis that is never closed follows the longest part that is complete.
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
    """RE2's name of what is wrong and the text that it names; empty if nothing is wrong."""
    try:
        re2.compile(pattern, _options())
    except re2.error as error:
        code, _, text = error.args[0].decode("utf-8", "replace").partition(": ")
        if code == "trailing \\":
            return "trailing", "\\"
        return (code, "") if code in _WHOLE else (code, text)
    return "", ""
