"""How times and names are written, the same on every page and in the terminal."""

from datetime import UTC, datetime
from urllib.parse import urlsplit

from markupsafe import Markup

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def duration(seconds: float | None) -> str:
    """A duration: 0:42, 12:05, 3 h 07 m, 2 d 5 h; a dash when it is not known."""
    if seconds is None:
        return "-"
    whole = max(0, int(seconds))
    if whole < _HOUR:
        return f"{whole // _MINUTE}:{whole % _MINUTE:02}"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} m"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def age(seconds: float) -> str:
    """An age in one unit: 8 s, 3 m, 5 h, 6 d."""
    whole = max(0, int(seconds))
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m")):
        if whole >= (2 * size if unit != "m" else size):
            return f"{whole // size} {unit}"
    return f"{whole} s"


def instant(moment: datetime) -> str:
    """A time in ISO 8601, UTC, for a `datetime` attribute and for programs."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def stamp(moment: datetime) -> str:
    """A time for people, UTC: 2026-03-01 03:12:07."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def clock_time(moment: datetime) -> str:
    """The time of day, UTC: 03:12:07."""
    return moment.astimezone(UTC).strftime("%H:%M:%S")


def words(name: str) -> str:
    """A stored name as people read it: in_progress becomes In progress."""
    return name.replace("_", " ").capitalize()


def code(text: str) -> Markup:
    """A sentence as HTML; text between backquotes becomes `<code>`."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else part for place, part in enumerate(parts)
    )


def web_address(value: str | None) -> str | None:
    """`value` if it is an http or https URL, else None: a sender's URL may be a script."""
    if not value:
        return None
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    return value if parts.scheme in ("http", "https") and parts.netloc else None


def iso(at: datetime | None) -> str | None:
    """A time in ISO 8601, for programs."""
    return at.isoformat(timespec="milliseconds") if at else None
