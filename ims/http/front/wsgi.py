"""Call a WSGI application in a thread, with a request that has arrived completely.

Source: PEP 3333. The application never waits for the client. An answer of known length is sent at once; a streamed
answer is sent as the application makes its parts, and parts that the client has not read yet are kept in memory, then
in a temporary file.
"""

import asyncio
import io
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from ims.core.log import logger
from ims.core.net import AnyNetwork, is_within, read_address
from ims.http.front.messages import PROBLEM_JSON, UNEXPECTED, Request, has_body, head, problem, whole
from ims.http.front.protocol import Connection

log = logger(__name__)

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
IN_MEMORY: Final = 1024 * 1024
"""How much of a streamed answer is kept in memory until the client reads it; more goes to a temporary file."""
PART_BYTES: Final = 256 * 1024


def call(
    application: Application, request: Request, connection: Connection, loop: asyncio.AbstractEventLoop, environ: Any
) -> None:
    """Have the application answer a request. Runs in a thread."""
    if request is not connection.current:
        # The client closed the connection while the request waited for a thread.
        return
    answer = _Answer(request, connection, loop)
    try:
        parts = application(environ, answer.start)
        try:
            for part in parts:
                answer.write(part)
            answer.end()
        finally:
            if hasattr(parts, "close"):
                parts.close()
    except Exception as error:
        log.error("request_failed", exc_info=error)
        answer.fail()


class _Answer:
    """The answer of an application, until it is handed to the event loop."""

    def __init__(self, request: Request, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._request, self._connection, self._loop = request, connection, loop
        self._status = ""
        self._headers: list[tuple[str, str]] = []
        self._parts: list[bytes] = []
        self._stream: _Stream | None = None

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        """`start_response`."""
        if exc_info and self._stream is not None:
            raise exc_info[1].with_traceback(exc_info[2])
        for name, value in headers:
            if any(sign in name or sign in value for sign in "\r\n\0"):
                raise ValueError("a header of the answer holds a line break")
        self._status, self._headers = status, headers
        return self.write

    def write(self, part: bytes) -> None:
        """Add a part of the body. With a Content-Length the parts are collected, without one they are sent at once."""
        if self._stream is not None:
            self._stream.add(part)
        elif self._length() is not None or not part:
            self._parts.append(part)
        else:
            self._stream = self._begin_stream()
            self._stream.add(part)

    def end(self) -> None:
        """The application has finished: send what was collected, or end the stream."""
        if self._stream is not None:
            self._stream.finish()
            return
        body = b"".join(self._parts)
        headers = list(self._headers)
        request = self._request
        if self._length() is None and has_body(b"GET", self._code):
            headers.append(("Content-Length", str(len(body))))
        start = head(self._status, headers, keep_alive=request.keep_alive, version=request.version)
        self._hand_over(start + body if has_body(request.method, self._code) else start)

    def fail(self) -> None:
        """The application failed: answer 500, or close the connection if part of the answer has been sent."""
        if self._stream is not None:
            self._loop.call_soon_threadsafe(self._connection.abort)
            return
        self._request.keep_alive = False
        self._hand_over(whole(self._request, 500, PROBLEM_JSON, problem(500, UNEXPECTED)))

    @property
    def _code(self) -> int:
        return int(self._status[:3])

    def _length(self) -> str | None:
        return next((value for name, value in self._headers if name.lower() == "content-length"), None)

    def _hand_over(self, data: bytes) -> None:
        try:
            self._loop.call_soon_threadsafe(self._connection.answer_with, self._request, data)
        except RuntimeError:
            log.warning("answer_after_shutdown")

    def _begin_stream(self) -> "_Stream":
        request = self._request
        is_chunked = request.version == "1.1"
        headers = list(self._headers)
        if is_chunked:
            headers.append(("Transfer-Encoding", "chunked"))
        else:
            request.keep_alive = False
        start = head(self._status, headers, keep_alive=request.keep_alive, version=request.version)
        stream = _Stream(self._connection, self._loop, is_chunked=is_chunked)
        self._loop.call_soon_threadsafe(self._connection.stream, request, start, stream)
        return stream


class _Stream:
    """The parts of a streamed answer, on their way from a thread to the event loop."""

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop, *, is_chunked: bool) -> None:
        self._connection, self._loop, self._is_chunked = connection, loop, is_chunked
        self._lock = threading.Lock()
        # `next_part` closes it at the end, or `abandon` before.
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115
        self._read_to = self._written_to = 0
        self._is_finished = self._is_abandoned = self._is_woken = False

    def add(self, part: bytes) -> None:
        """Add a part. Raises `ClientGone` if the client has closed the connection."""
        if not part:
            return
        with self._lock:
            if self._is_abandoned:
                raise ClientGone
            self._file.seek(self._written_to)
            self._file.write(b"%x\r\n%b\r\n" % (len(part), part) if self._is_chunked else part)
            self._written_to = self._file.tell()
        self._wake()

    def finish(self) -> None:
        """Mark the answer as complete."""
        with self._lock:
            if self._is_chunked and not self._is_abandoned:
                self._file.seek(self._written_to)
                self._file.write(b"0\r\n\r\n")
                self._written_to = self._file.tell()
            self._is_finished = True
        self._wake()

    def next_part(self) -> bytes | None:
        """See `Outgoing`."""
        with self._lock:
            self._is_woken = False
            if self._read_to < self._written_to:
                self._file.seek(self._read_to)
                part = self._file.read(PART_BYTES)
                self._read_to += len(part)
                if self._read_to == self._written_to:
                    self._file.seek(0)
                    self._file.truncate()
                    self._read_to = self._written_to = 0
                return part
            if self._is_finished:
                self._file.close()
                return None
            return b""

    def abandon(self) -> None:
        """See `Outgoing`."""
        with self._lock:
            self._is_abandoned = True
            self._file.close()

    def _wake(self) -> None:
        with self._lock:
            if self._is_woken:
                return
            self._is_woken = True
        self._loop.call_soon_threadsafe(self._connection.pump)


class ClientGone(ConnectionError):
    """The client closed the connection before the answer was complete."""


def environment(request: Request, server: tuple[str, int], trusted: tuple[AnyNetwork, ...]) -> dict[str, Any]:
    """The WSGI environment of a request."""
    path, _, query = _origin_form(request.target).partition(b"?")
    environ: dict[str, Any] = {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.input_terminated": not request.is_too_large,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "REQUEST_METHOD": request.method.decode("latin-1"),
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "RAW_URI": request.target.decode("latin-1"),
        "REQUEST_URI": request.target.decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "SERVER_PROTOCOL": f"HTTP/{request.version}",
        "SERVER_SOFTWARE": "ims",
        "REMOTE_ADDR": request.peer,
    }
    for name, value in request.headers:
        # WSGI could not tell X_Forwarded_For, which any client can send through a proxy, from X-Forwarded-For.
        if b"_" not in name:
            _add_header(environ, name.decode("latin-1"), value.decode("latin-1"))
    if request.is_too_large:
        # For a chunked body, which has no Content-Length, this is the length that was read before it was too much.
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        environ["CONTENT_LENGTH"] = str(request.size)
    elif request.body:
        environ["CONTENT_LENGTH"] = str(len(request.body))
    if environ.get("HTTP_X_FORWARDED_PROTO") == "https" and _is_proxy(request.peer, trusted):
        environ["wsgi.url_scheme"] = "https"
    return environ


def _add_header(environ: dict[str, Any], name: str, value: str) -> None:
    if name == "content-type":
        environ["CONTENT_TYPE"] = value
    elif name == "content-length":
        environ["CONTENT_LENGTH"] = value
    else:
        key = f"HTTP_{name.upper().replace('-', '_')}"
        joint = "; " if name == "cookie" else ","
        environ[key] = f"{environ[key]}{joint}{value}" if key in environ else value


def _origin_form(target: bytes) -> bytes:
    """The path and query of a request target, also if it is a complete URL, as in requests to a proxy."""
    if target.startswith(b"/"):
        return target
    scheme, separator, rest = target.partition(b"://")
    if separator and scheme.lower() in (b"http", b"https"):
        return b"/" + rest.partition(b"/")[2]
    return b"/" + target if target != b"*" else b"*"


def _is_proxy(peer: str, trusted: tuple[AnyNetwork, ...]) -> bool:
    address = read_address(peer)
    return address is not None and (address.is_loopback or is_within(address, trusted))
