"""One connection: bytes become requests, and answers become bytes. HTTP/1.1 and 1.0; llhttp reads them.

A connection reads one request at a time; what a client sends before its answer (pipelining) waits. Each state has a
deadline, which `Front.sweep` looks at once a second: that costs less than a timer for each request.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

import httptools

from ims.core.log import logger
from ims.http.front.connections import Connections
from ims.http.front.limits import MOST_HEAD_BYTES, MOST_HEADERS, Limits
from ims.http.front.messages import JSON, PROBLEM_JSON, Headers, Request, head, problem, status_line, whole

log = logger(__name__)

NEVER: Final = math.inf
LINGER_SECONDS: Final = 5.0
"""After a refusal: what the client is still sending is read away, else its system would drop our answer."""
HEALTH_PATH: Final = b"/health"


class Outgoing(Protocol):
    """An answer in pieces."""

    def next_part(self) -> bytes | None:
        """What is to be sent now, nothing if more must come first, None at the end."""

    def abandon(self) -> None:
        """The client has gone."""


class Front:
    """What the connections of a process share."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, limits: Limits, dispatch: "Dispatch", count: Callable[[str], None]
    ) -> None:
        self.loop = loop
        self.limits = limits
        self.dispatch = dispatch
        self.count = count
        self.connections: Connections[Connection] = Connections(limits, count)
        self.is_stopping = False
        self.health: Callable[[], tuple[int, bytes]] = lambda: (200, b'{"status": "ok"}')

    def sweep(self) -> None:
        """End what has taken too long."""
        now = self.loop.time()
        for connection in self.connections:
            if connection.deadline <= now:
                connection.time_out(now)


class Dispatch(Protocol):
    """Answers a request, now or later, by `connection.answer` or `connection.stream`."""

    def __call__(self, request: Request, connection: "Connection", /) -> None:
        """Begin."""


class Connection(asyncio.Protocol):
    """One client's connection."""

    __slots__ = (
        "_awaiting",
        "_body_bytes",
        "_discarded",
        "_front",
        "_head_bytes",
        "_incoming",
        "_is_discarding",
        "_is_ending",
        "_is_eof",
        "_is_head_complete",
        "_is_write_paused",
        "_left_before",
        "_outgoing",
        "_parser",
        "_parts",
        "_transport",
        "current",
        "deadline",
        "has_asked",
        "peer",
    )

    _transport: asyncio.Transport

    def __init__(self, front: Front, peer: str) -> None:
        self._front = front
        self.peer = peer
        self.deadline = front.loop.time() + front.limits.header_seconds
        self.current: Request | None = None
        """The request that is being answered."""
        self.has_asked = False
        """Whether a request of it was answered."""
        self._awaiting: deque[Request] = deque()
        """Those that came before the answer to the one before them."""
        self._incoming: Request | None = None
        self._is_head_complete = False
        self._head_bytes = 0
        self._parts: list[bytes] = []
        self._body_bytes = 0
        self._is_discarding = self._is_ending = self._is_eof = self._is_write_paused = False
        self._discarded = 0
        self._left_before = 0
        self._outgoing: Outgoing | None = None
        self._parser: Any = httptools.HttpRequestParser(self)

    # --- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self._front.connections.let_in(self):
            self._front.count("busy")
            self.refuse(503, "Every connection has a request under way. Come again later.")

    def connection_lost(self, _exc: Exception | None) -> None:
        self._front.connections.forget(self)
        self._is_ending = True
        self.deadline = NEVER
        self._awaiting.clear()
        if self._outgoing is not None:
            self._outgoing.abandon()
            self._outgoing = None

    def data_received(self, data: bytes) -> None:
        if self._is_discarding:
            self._discard(len(data))
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Nothing else is spoken here: the request is answered as if it had not asked, and the connection ends.
            self._is_discarding = True
        except httptools.HttpParserCallbackError as error:
            log.error("front_broke", exc_info=error)
            self.abort()
            return
        except httptools.HttpParserError:
            if not self._is_discarding:
                self.refuse(400, "This is not HTTP.")
            return
        if not self._is_head_complete and self.current is None:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES and not self._is_discarding:
                self.refuse(431, f"The head of a request may have {MOST_HEAD_BYTES} bytes.")
        if self._awaiting and not self._is_discarding:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        # A client may close its half and still wait for its answer.
        self._is_eof = True
        return self.is_busy and not self._is_discarding

    def pause_writing(self) -> None:
        self._is_write_paused = True
        self._left_before = self._transport.get_write_buffer_size()
        self.deadline = self._front.loop.time() + self._front.limits.answer_seconds

    def resume_writing(self) -> None:
        self._is_write_paused = False
        if self._outgoing is not None:
            self.deadline = NEVER
            self.pump()
        elif self.current is not None and not self._is_ending:
            self._finish()

    # --- what llhttp calls

    def on_message_begin(self) -> None:
        self._incoming = Request(self.peer)
        self._is_head_complete = False
        self._head_bytes = self._body_bytes = 0
        self._parts = []
        if self.current is None:
            self.deadline = self._front.loop.time() + self._front.limits.header_seconds

    def on_url(self, url: bytes) -> None:
        if self._incoming is not None:
            self._incoming.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._incoming is not None:
            self._incoming.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        request, parser, limits = self._incoming, self._parser, self._front.limits
        if request is None:
            return
        self._is_head_complete = True
        request.method, request.version = parser.get_method(), parser.get_http_version()
        request.keep_alive = bool(parser.should_keep_alive()) and not parser.should_upgrade()
        if len(request.headers) > MOST_HEADERS:
            self.refuse(431, f"A request may have {MOST_HEADERS} headers.")
            return
        if len(request.target) + sum(len(name) + len(value) for name, value in request.headers) > MOST_HEAD_BYTES:
            self.refuse(431, f"The head of a request may have {MOST_HEAD_BYTES} bytes.")
            return
        length = request.header(b"content-length")
        request.size = int(length) if length else 0
        if request.size > limits.most_body:
            self._too_large(request)
        elif length != "0" and self.current is None:
            self.deadline = self._front.loop.time() + limits.body_seconds
            if (request.header(b"expect") or "").lower() == "100-continue" and request.version == "1.1":
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        request = self._incoming
        if request is None:
            return
        self._parts.append(part)
        self._body_bytes += len(part)
        if self._body_bytes > self._front.limits.most_body:
            request.size = self._body_bytes
            self._too_large(request)
        else:
            self._front.connections.body_grew(self, len(part))

    def on_message_complete(self) -> None:
        request, self._incoming = self._incoming, None
        if request is None:
            return
        if self._parts:
            self._front.connections.body_done(self)
            request.body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            request.size = len(request.body)
            self._parts = []
        self._arrived(request)

    # --- requests

    @property
    def is_busy(self) -> bool:
        """Whether a request has arrived whole and its answer is not."""
        return self.current is not None

    def _arrived(self, request: Request) -> None:
        if self.current is None:
            self._begin(request)
        else:
            self._awaiting.append(request)

    def _begin(self, request: Request) -> None:
        self.current = request
        self.deadline = NEVER
        if request.path == HEALTH_PATH and request.method in (b"GET", b"HEAD"):
            # Asked of nothing that a request could keep busy.
            status, body = self._front.health()
            self.answer(request, status, JSON, body)
        else:
            self._front.dispatch(request, self)

    def _too_large(self, request: Request) -> None:
        """The application says so, which needs the head only; what follows is not read."""
        self._incoming, self._parts = None, []
        self._front.connections.body_done(self)
        self._is_discarding = True
        request.is_too_large, request.keep_alive = True, False
        self._arrived(request)

    # --- answers

    def answer(self, request: Request, status: int, headers: Headers, body: bytes) -> None:
        """Answer the current request with something whole."""
        if self._front.is_stopping:
            request.keep_alive = False
        self.answer_with(request, whole(request, status, headers, body))

    def answer_with(self, request: Request, data: bytes) -> None:
        """Answer the current request with the bytes of a whole answer."""
        if request is not self.current or self._is_ending:
            return
        self._transport.write(data)
        if not self._is_write_paused:
            self._finish()

    def stream(self, request: Request, start: bytes, parts: Outgoing) -> None:
        """Answer the current request with what comes piece by piece; each `pump` sends what is there."""
        if request is not self.current or self._is_ending:
            parts.abandon()
            return
        self._outgoing = parts
        self._transport.write(start)
        self.pump()

    def pump(self) -> None:
        """Send what there is of a streamed answer, as long as the client takes it."""
        while self._outgoing is not None and not self._is_write_paused and not self._is_ending:
            part = self._outgoing.next_part()
            if part is None:
                self._outgoing = None
                if not self._is_write_paused:
                    self._finish()
            elif part:
                self._transport.write(part)
            else:
                return

    def _finish(self) -> None:
        """The current request is answered."""
        request, self.current = self.current, None
        if self._is_discarding:
            self._linger()
        elif request is None or not request.keep_alive or self._front.is_stopping or self._is_eof:
            self._end()
        else:
            self.has_asked = True
            self._front.connections.touched(self)
            self.deadline = self._front.loop.time() + self._front.limits.keep_alive_seconds
            if self._awaiting:
                # Not from within: a thousand requests sent together would be as many calls deep.
                self._front.loop.call_soon(self._begin_next)

    def _begin_next(self) -> None:
        if self._is_ending or self.current is not None or not self._awaiting:
            return
        request = self._awaiting.popleft()
        if not self._awaiting:
            self._transport.resume_reading()
        self._begin(request)

    def refuse(self, status: int, detail: str) -> None:
        """Answer something that is no request, or will not be one, and end the connection."""
        if self._is_ending:
            return
        self._incoming, self._parts = None, []
        self._front.connections.body_done(self)
        if self.current is None:
            body = problem(status, detail)
            headers = [*PROBLEM_JSON, ("Content-Length", str(len(body)))]
            if status == 503:
                headers.append(("Retry-After", "3"))
            self._transport.write(head(status_line(status), headers, keep_alive=False) + body)
            self._is_discarding = True
            self._linger()
        else:
            # Somebody is owed an answer first; what came behind that request is not understood, so it is the last one.
            self._is_discarding = True
            self._awaiting.clear()

    # --- endings

    def time_out(self, now: float) -> None:
        """The deadline has passed: close what is idle, tell who has sent half a request, drop who takes nothing."""
        if self._is_write_paused and not self._transport.is_closing():
            left = self._transport.get_write_buffer_size()
            if left < self._left_before:
                self._left_before, self.deadline = left, now + self._front.limits.answer_seconds
                return
            self._front.count("answer")
            self.abort()
        elif self._is_ending or self._is_discarding:
            self.abort()
        elif self._incoming is not None:
            what = "body" if self._is_head_complete else "header"
            self._front.count(what)
            self.refuse(408, "The request was not sent to its end in time.")
        else:
            if not self.has_asked:
                self._front.count("idle")
            self._end()

    def _linger(self) -> None:
        self.deadline = self._front.loop.time() + LINGER_SECONDS
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
        self._transport.resume_reading()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > 2 * self._front.limits.most_body and self.current is None:
            self.abort()

    def _end(self) -> None:
        """Close it once the answer is taken."""
        self._is_ending = True
        self.deadline = self._front.loop.time() + self._front.limits.answer_seconds
        self._transport.close()

    def stop(self, *, is_final: bool) -> None:
        """The process ends: whoever waits for nothing goes at once, and at last everybody."""
        if is_final:
            self.abort()
        elif self.current is None and self._incoming is None:
            self._end()

    def abort(self) -> None:
        """Drop it."""
        self._is_ending = True
        self._transport.abort()
