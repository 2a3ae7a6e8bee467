"""Parse arguments: times, durations, texts and passwords."""

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
    str | None, typer.Option("--since", metavar="TIME", help="From this time on: ISO 8601, UTC without a time zone.")
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Before this time: ISO 8601, UTC without a time zone.")
]


def moment(text: str | None, option: str) -> str | None:
    """A time in the format of the API. Raises `Wrong`."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise Wrong(f"{option}: {text!r} is not a time: use 2026-03-01 or 2026-03-01T03:12Z.") from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat()


def seconds(text: str, option: str) -> float:
    """A duration such as `90`, `90s`, `15m`, `1h` or `7d`. Raises `Wrong`."""
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None:
        raise Wrong(f"{option}: must be a duration such as 90s, 15m, 1h or 7d.")
    return float(found[1]) * _UNITS[found[2]]


def named(text: str, prefix: str, kind: str) -> str:
    """Normalise a reference for the API: `inc-42` becomes INC-42. Raises `NothingThere`."""
    if not re.fullmatch(rf"(?:{prefix}-)?[1-9][0-9]{{0,17}}|{_ID}", text, re.IGNORECASE):
        raise NothingThere(f"There is no {kind} {text[:40]!r}: a valid name looks like {prefix}-7.")
    return text.lower() if re.fullmatch(_ID, text, re.IGNORECASE) else text.upper()


def text_or_input(given: str) -> str:
    """The text; `-` reads standard input."""
    return sys.stdin.read() if given == STANDARD_INPUT else given


def password(path: Path | None) -> str:
    """A password: the first line of a file, typed at the terminal without echo, or the first line of standard input.

    Never an argument: all users of the machine can read the command line of a process. Raises `Wrong`.
    """
    if path is not None:
        try:
            return path.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
        except (OSError, UnicodeDecodeError):
            raise Wrong("--password-file: cannot be read as text.") from None
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    typed = getpass.getpass("Password: ")
    if getpass.getpass("Repeat password: ") != typed:
        raise Wrong("The passwords do not match.")
    return typed


PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file", metavar="FILE", help="Read its first line (default: prompt, or a line of standard input)."
    ),
]
