"""Patterns of a policy that meet values from outside: they must compile and must not be able to hang a worker."""

import re
import warnings

PATTERN_LENGTH = 256

_UNBOUNDED = re.compile(r"[*+]|\{\d*,\}")
_REPEATED = re.compile(r"[*+]|\{\d*,?\d*\}")


def check_pattern(pattern: str) -> str | None:
    """What is wrong with a regular expression, with the remedy; None if nothing is.

    A repeat of a group that itself repeats, such as `(a+)+`, takes exponential time on a value made for it, and values
    come from whoever can send an alert.
    """
    if len(pattern) > PATTERN_LENGTH:
        return f"is longer than {PATTERN_LENGTH} characters: make it shorter."
    try:
        with warnings.catch_warnings():
            # Python warns of `[[` and the like, which will mean something else one day.
            warnings.simplefilter("error", FutureWarning)
            re.compile(pattern)
    except FutureWarning as warning:
        return f"is ambiguous ({warning}): put a backslash before the second sign."
    except re.error as error:
        where = f" at position {error.pos + 1}" if error.pos is not None else ""
        return f"is no valid regular expression{where}: {error.msg}."
    except (OverflowError, RecursionError):
        return "is no usable regular expression: make it simpler."
    if _repeats_a_repeat(pattern):
        return "repeats a group that repeats itself, which can take for ever: write it without a repeat in a repeat."
    return None


def _repeats_a_repeat(pattern: str) -> bool:
    """Whether a group with an unbounded repeat inside is itself repeated. `pattern` compiles."""
    groups = [False]
    index = 0
    while index < len(pattern):
        char = pattern[index]
        if char == "\\":
            index += 2
            continue
        if char == "[":
            index = _end_of_class(pattern, index)
            continue
        if char == "(":
            groups.append(False)
        elif char == ")":
            repeats_inside = groups.pop()
            if repeats_inside and _REPEATED.match(pattern, index + 1):
                return True
            groups[-1] = groups[-1] or repeats_inside
        elif _UNBOUNDED.match(pattern, index):
            groups[-1] = True
        index += 1
    return False


def _end_of_class(pattern: str, start: int) -> int:
    """Index after a character class that begins at `start`; a `]` right at its beginning is a plain character."""
    index = start + 1
    if pattern[index] == "^":
        index += 1
    if pattern[index] == "]":
        index += 1
    while pattern[index] != "]":
        index += 2 if pattern[index] == "\\" else 1
    return index + 1
