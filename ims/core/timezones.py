"""Time zones from the newer of two databases: the machine's, and the package tzdata of the lock file.

Python's zoneinfo always prefers the machine's database. Governments announce changes of time zones a few weeks ahead,
and a machine that is not updated in time is then an hour off.
"""

import re
import zoneinfo
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import tzdata

LOCKED_RELEASE: Final = tzdata.IANA_VERSION
"""The release of the database in the package tzdata, such as 2026f."""
_RELEASE: Final = re.compile(r"(?:# version )?(\d{4})([a-z]{1,2})\b")


def machine_release() -> str | None:
    """The release of the machine's database; None if there is no database, or its release is unknown."""
    for folder in map(Path, zoneinfo.TZPATH):
        # Debian, Fedora and Arch name the release in the first file, macOS and the BSDs in the second.
        for name in ("tzdata.zi", "+VERSION"):
            try:
                with (folder / name).open(encoding="utf-8", errors="replace") as file:
                    found = _RELEASE.match(file.readline(80))
            except OSError:
                continue
            if found:
                return f"{found[1]}{found[2]}"
    return None


def is_older(release: str, other: str) -> bool:
    """Whether `release` came before `other`. After 2026z comes 2026za."""
    return _order(release) < _order(other)


def _order(release: str) -> tuple[str, int, str]:
    year, letters = release[:4], release[4:]
    return year, len(letters), letters


@cache
def time_zone(name: str) -> ZoneInfo:
    """The time zone of this name in the newer database. Raises as `ZoneInfo` does when there is none.

    A machine whose release is unknown counts as older than the package.
    """
    machine = machine_release()
    if machine is not None and not is_older(machine, LOCKED_RELEASE):
        return ZoneInfo(name)
    parts = name.split("/")
    if all(part.strip(".") for part in parts):
        file = resources.files("tzdata").joinpath("zoneinfo", *parts)
        if file.is_file():
            with file.open("rb") as content:
                return ZoneInfo.from_file(content, key=name)
    # Only the machine's database may know this name.
    return ZoneInfo(name)
