"""A request, and the bytes of an answer."""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Final
from uuid import uuid4

Headers = Sequence[tuple[str, str]]
_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}
_WITHOUT_BODY: Final = (204, 304)
JSON: Final = [("Content-Type", "application/json")]
PROBLEM_JSON: Final = [("Content-Type", "application/problem+json")]
UNEXPECTED: Final = "Something went wrong in IMS. The error was logged."


@dataclass(slots=True)
class Request:
    """What a client sent."""

    peer: str
    """IP address of the other end of the connection."""
    method: bytes = b""
    target: bytes = b""
    version: str = "1.1"
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Names in lower case, in the order in which they came."""
    body: bytes = b""
    is_too_large: bool = False
    """The body exceeds `Limits.most_body`: `body` is empty, and `size` is its Content-Length or what was read of it."""
    size: int = 0
    keep_alive: bool = True

    @property
    def path(self) -> bytes:
        """The target without its query, still encoded."""
        return self.target.partition(b"?")[0]

    def header(self, name: bytes) -> str | None:
        """The first header of this name."""
        for one, value in self.headers:
            if one == name:
                return value.decode("latin-1")
        return None

    def all_of(self, name: bytes) -> list[str]:
        """Every header of this name."""
        return [value.decode("latin-1") for one, value in self.headers if one == name]


def has_body(method: bytes, status: int) -> bool:
    """Whether an answer with this status may have a body."""
    return method != b"HEAD" and status >= 200 and status not in _WITHOUT_BODY


def head(status_line: str, headers: Iterable[tuple[str, str]], *, keep_alive: bool, version: str = "1.1") -> bytes:
    """Status line and headers. `Connection` is sent only where it differs from the default of the client's version."""
    lines = [f"HTTP/1.1 {status_line}", f"Date: {_date()}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if not keep_alive:
        lines.append("Connection: close")
    elif version == "1.0":
        lines.append("Connection: keep-alive")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def whole(request: Request, status: int, headers: Headers, body: bytes) -> bytes:
    """An answer whose body is known."""
    sized = [*headers, ("Content-Length", str(len(body)))]
    start = head(status_line(status), sized, keep_alive=request.keep_alive, version=request.version)
    return start + body if has_body(request.method, status) else start


def status_line(status: int) -> str:
    """Number and phrase of a status."""
    return f"{status} {_REASONS.get(status, 'Unknown')}"


def problem(status: int, detail: str) -> bytes:
    """A problem document (RFC 9457) for an error that the application does not answer itself."""
    title = _REASONS[status]
    kind = title.lower().replace(" ", "-")
    body = {"type": f"urn:ims:problem:{kind}", "title": title, "status": status, "detail": detail}
    return json.dumps(body | {"request_id": uuid4().hex}).encode()


_dated: tuple[int, str] = (0, "")


def _date() -> str:
    global _dated  # noqa: PLW0603 - formatted once a second, for all answers of the process
    now = int(time.time())
    if _dated[0] != now:
        _dated = now, formatdate(now, usegmt=True)
    return _dated[1]
