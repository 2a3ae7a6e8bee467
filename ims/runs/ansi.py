"""Terminal colours as markup: everything is escaped, only known colour codes become classes."""

import re

from markupsafe import Markup, escape

from ims.core.shown import visible

_SEQUENCE = re.compile(
    r"\x1b\[([0-9;]*)([A-Za-z])"  # colours and cursor movements
    r"|\x1b[]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # titles, links and other strings
    r"|\x1b[@-Z\\-_]|\x1b"
)
_COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")


def to_markup(text: str) -> Markup:
    """`text` with its foreground colours and bold as spans; every other control sequence is dropped."""
    parts: list[Markup] = []
    classes: frozenset[str] = frozenset()
    begin = 0
    for found in _SEQUENCE.finditer(text):
        parts.append(_span(text[begin : found.start()], classes))
        begin = found.end()
        if found[2] == "m":
            classes = _after(classes, found[1])
    parts.append(_span(text[begin:], classes))
    return Markup("").join(parts)


def to_plain(text: str) -> str:
    """`text` without any control sequence, for plain text and copies."""
    return _clean(_SEQUENCE.sub("", text.replace("\r\n", "\n")))


def _span(text: str, classes: frozenset[str]) -> Markup:
    clean = _clean(text)
    if not clean or not classes:
        return escape(clean)
    return Markup('<span class="{}">{}</span>').format(" ".join(sorted(classes)), clean)


def _clean(text: str) -> str:
    """`text` without carriage returns, which only animate a terminal; what could hide or reorder text is escaped."""
    return visible(text.replace("\r", ""))


def _after(classes: frozenset[str], codes: str) -> frozenset[str]:
    """The classes in force after an SGR sequence such as 1;31."""
    for code in codes.split(";") if codes else ["0"]:
        number = int(code[:4] or 0)
        if number == 0:
            classes = frozenset()
        elif number == 1:
            classes |= {"ansi-bold"}
        elif number == 22:
            classes -= {"ansi-bold"}
        elif 30 <= number <= 37 or 90 <= number <= 97:
            classes = _without_colour(classes) | {f"ansi-{_COLOURS[number % 10]}"}
        elif number == 39:
            classes = _without_colour(classes)
    return classes


def _without_colour(classes: frozenset[str]) -> frozenset[str]:
    return classes & {"ansi-bold"}
