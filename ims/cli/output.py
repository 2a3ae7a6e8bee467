"""Output of commands: JSON for programs, text for people, tables with colour only on a terminal."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from ims.core.shown import visible, visible_line

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Limit = Annotated[int, typer.Option("--limit", min=1, metavar="N", help="Maximum number of rows.")]


def say(text: str = "") -> None:
    """Print text and flush, for readers of a pipe. Characters that could move the cursor or hide text are escaped."""
    print(visible(text), flush=True)


def note(text: str) -> None:
    """Print a message to standard error. It is made printable, since it can contain text from a server."""
    print("\n".join(map(printable, text.split("\n"))), file=sys.stderr, flush=True)


def escaped(line: str) -> str:
    """A line of JSON from a server, with the control characters that JSON allows in strings escaped."""
    return "".join(f"\\u{ord(one):04x}" if visible_line(one) != one else one for one in line)


def print_json(content: Any) -> None:
    print(json.dumps(content, indent=2))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], nothing: str = "Nothing.") -> None:
    """Print aligned rows with a header; without rows, print `nothing`."""
    if not rows:
        say(nothing)
        return
    cells = [[printable(cell) for cell in row] for row in rows]
    heads = [name.upper() for name in columns]
    if sys.stdout.isatty():
        _print_on_terminal(heads, cells)
        return
    lines = [heads, *cells]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _print_on_terminal(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*heads, box=None, pad_edge=False, header_style="bold")
    for row in cells:
        # As Text: square brackets in data are not markup.
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print an object, one line for each field that has a value."""
    width = max(len(name) for name in fields) + 2
    for name, value in fields.items():
        if value not in (None, "", [], {}):
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            print(f"{name:<{width}}{printable(shown)}")


def show(content: Any, *, as_json: bool) -> None:
    """Print an object, as JSON or field by field."""
    (print_json if as_json else print_fields)(content)


def printable(value: object) -> str:
    """A value on one line, with control characters and line breaks as escapes; empty for None."""
    return "" if value is None else visible_line(str(value))


def local(at: str | None) -> str:
    """A time of the API in the local time zone; empty for None."""
    return datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M:%S") if at else ""


def seconds_between(begun: str | None, ended: str | None) -> float | None:
    """Seconds between two times of the API; None if either is missing."""
    if not begun or not ended:
        return None
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds()


def cut(text: str | None, width: int) -> str:
    """Truncate a text, with an ellipsis."""
    text = text or ""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def changed(is_changed: bool) -> None:
    """Print `changed` or `unchanged`, for scripts."""
    say("changed" if is_changed else "unchanged")


def now() -> datetime:
    """The current time, UTC."""
    return datetime.now(UTC)
