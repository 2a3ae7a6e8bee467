"""What people type: times, durations, texts and passwords."""

import getpass
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from ims.cli.errors import NothingThere, Wrong

_DURATION: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*([smhd]?)")
_ID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
STANDARD_INPUT: Final = "-"

Since = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Then or later: ISO 8601, UTC unless it has a zone.")
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Before: ISO 8601, UTC unless it has a zone.")
]


def moment(text: str | None, option: str) -> str | None:
    """A time as the API reads it. Raises `Wrong`."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise Wrong(f"{option}: {text!r} is no time: write 2026-03-01 or 2026-03-01T03:12Z.") from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat()


def seconds(text: str, option: str) -> float:
    """A duration such as `90`, `90s`, `15m`, `1h` or `7d`. Raises `Wrong`."""
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None:
        raise Wrong(f"{option}: must be a duration such as 90s, 15m, 1h or 7d.")
    return float(found[1]) * _UNITS[found[2]]


def named(text: str, prefix: str, kind: str) -> str:
    """The name of something that has a number, as the API knows it: `inc-42` is INC-42. Raises `NothingThere`."""
    if not re.fullmatch(rf"(?:{prefix}-)?[1-9][0-9]{{0,17}}|{_ID}", text, re.IGNORECASE):
        raise NothingThere(f"There is no {kind} {text[:40]!r}: its name is like {prefix}-7.")
    return text.lower() if re.fullmatch(_ID, text, re.IGNORECASE) else text.upper()


def text_or_input(given: str) -> str:
    """The text, or standard input for `-`."""
    return sys.stdin.read() if given == STANDARD_INPUT else given


def password(path: Path | None) -> str:
    """A password: from a file, from the terminal without showing it, or the first line of standard input.

    Never an argument: every account of the machine may read the command line of a process. Raises `Wrong`.
    """
    if path is not None:
        try:
            return path.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
        except (OSError, UnicodeDecodeError):
            raise Wrong("--password-file: cannot be read as text.") from None
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    typed = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != typed:
        raise Wrong("The password was typed differently the second time.")
    return typed


PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file", metavar="FILE", help="Its first line (default: asked for, or a line of standard input)."
    ),
]
