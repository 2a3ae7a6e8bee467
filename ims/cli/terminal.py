"""What commands print for people: tables and times that a terminal can show, whatever is in them."""

import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from ims.core.errors import FieldError, Invalid

# Text from outside may move a terminal's cursor or change its title; line breaks would tear a table.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DURATION: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*([smhd]?)")
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their columns' names in capitals, each column as wide as its widest cell."""
    lines = [[printable(cell) for cell in row] for row in ([name.upper() for name in columns], *rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_fields(fields: dict[str, Any]) -> None:
    """Print one thing: a line for each field that has a value."""
    width = max(len(name) for name in fields) + 2
    for name, value in fields.items():
        if value not in (None, "", [], {}):
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            print(f"{name:<{width}}{printable(shown)}")


def print_json(content: Any) -> None:
    """Print JSON for programs."""
    print(json.dumps(content, indent=2))


def printable(text: str) -> str:
    """The text on one line, without control characters."""
    return _CONTROL.sub(" ", text)


def local(at: datetime | None) -> str:
    """A time as people here read it; empty for none."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if at else ""


def read_duration(given: str, field: str) -> timedelta:
    """A duration such as `90`, `90s`, `15m`, `1h` or `7d`. Raises `Invalid` naming `field`."""
    found = _DURATION.fullmatch(given.strip().lower())
    if found is None:
        raise Invalid(fields=[FieldError(field, "must be a duration such as 90s, 15m, 1h or 7d")])
    return timedelta(seconds=float(found[1]) * _UNITS[found[2]])
