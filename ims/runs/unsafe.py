"""Marks values that come from outside, so that Ansible never evaluates them as templates.

Extra variables are trusted templates in every release of ansible-core: a label ``{{ lookup('pipe', 'id') }}`` would
run its command on the worker as soon as a task used it. Ansible does not evaluate a string that a JSON file contains as
``{"__ansible_unsafe": "..."}``. Keys of mappings are not templates from ansible-core 2.19 on.

The file must be JSON that Ansible accepts, whatever the sender wrote. If Ansible cannot read it as JSON, it reads it as
YAML, which does not have the mark and trusts every string; a lone surrogate or very deep nesting is enough for that.
This module therefore replaces such values instead of passing them on.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

UNSAFE_KEY: Final = "__ansible_unsafe"
MAX_DEPTH: Final = 20
MAX_TEXT: Final = 32_768
"""Characters of one string."""
MAX_KEY: Final = 1_024
"""Characters of one key."""
MAX_VALUES: Final = 10_000
"""Values in one marked tree; Ansible copies the tree for every task."""

# Surrogates cannot be encoded. Control characters could imitate the event tokens that ansible-runner looks for in the
# output of a playbook, or move a terminal's cursor; NUL cannot be part of a program's argument.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_RESERVED_KEY = re.compile(r"_+ansible")
_BITS_OF_A_JSON_INTEGER = 64

Marked = dict[str, Any] | list[Any] | int | float | bool | None


def mark_unsafe(value: object) -> Marked:
    """Return ``value`` as a tree for JSON in which every string is marked as unsafe.

    Numbers, booleans and None are unchanged. Mappings and sequences keep their shape. Values that are too deep, too
    long or too many are replaced by a marked text that says so; control characters become U+FFFD; a key that Ansible
    would read as one of its own marks gets the prefix ``refused:``. Never raises for a value that ``json.loads`` can
    return.
    """
    return _Marker().mark(value, depth=0)


def clean_text(text: str, limit: int = MAX_TEXT) -> str:
    """Return ``text`` without control characters and surrogates, cut after ``limit`` characters with a note."""
    cut = len(text) - limit
    if cut > 0:
        text = f"{text[:limit]} [cut: {cut} more characters]"
    return _UNPRINTABLE.sub("\ufffd", text)


def _marked_text(text: str) -> dict[str, Any]:
    return {UNSAFE_KEY: clean_text(text)}


class _Marker:
    """One walk over one tree; counts the values."""

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def mark(self, value: object, depth: int) -> Marked:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            return self._number(value)
        if isinstance(value, str):
            return _marked_text(value)
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            if depth >= MAX_DEPTH:
                return _marked_text(f"[cut: nested deeper than {MAX_DEPTH}]")
            return self._mapping(value, depth) if isinstance(value, Mapping) else self._sequence(value, depth)
        return _marked_text(str(value))

    @staticmethod
    def _number(value: float) -> Marked:
        if isinstance(value, int):
            if value.bit_length() > _BITS_OF_A_JSON_INTEGER:
                return _marked_text(f"[cut: a number of {value.bit_length()} bits]")
            return int(value)
        # NaN and the infinities are not JSON.
        return float(value) if value - value == 0 else _marked_text(str(value))

    def _within_budget(self, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            if self._left <= 0:
                return
            self._left -= 1
            yield value

    def _sequence(self, values: Iterable[object], depth: int) -> list[Any]:
        marked = [self.mark(value, depth + 1) for value in self._within_budget(values)]
        if self._left <= 0:
            marked.append(_marked_text(f"[cut: more than {MAX_VALUES} values]"))
        return marked

    def _mapping(self, values: Mapping[Any, object], depth: int) -> dict[str, Any]:
        marked: dict[str, Any] = {}
        for key, value in self._within_budget(values.items()):
            marked[self._key(str(key), marked)] = self.mark(value, depth + 1)
        if self._left <= 0:
            marked[self._key("[cut]", marked)] = _marked_text(f"[cut: more than {MAX_VALUES} values]")
        return marked

    @staticmethod
    def _key(key: str, taken: Mapping[str, object]) -> str:
        key = clean_text(key, MAX_KEY)
        if _RESERVED_KEY.match(key):
            key = f"refused:{key}"
        while key in taken:
            key += "'"
        return key
