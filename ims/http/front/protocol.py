"""One connection: it parses bytes into requests, and writes answers. HTTP/1.1 and 1.0, parsed by llhttp.

A connection answers one request at a time; requests that a client sends before it has the answer (pipelining) wait.
Each state has a deadline. `Front.sweep` checks the deadlines twice a second, which costs less than a timer for each
request.
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
"""How long to go on reading, and discard, what the client still sends after an error. Closing at once would reset the
connection, and the client's system would drop our answer."""
HEALTH_PATH: Final = b"/health"
_HEAD_TOO_LARGE: Final = f"The request line and headers may have at most {MOST_HEAD_BYTES} bytes together."


class Outgoing(Protocol):
    """An answer in pieces."""

    def next_part(self) -> bytes | None:
        """The next bytes to send; empty if none are ready yet, None at the end."""

    def abandon(self) -> None:
        """Stop: the client has closed the connection."""


class Front:
    """What all connections of a process share."""

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
        """Time out the connections whose deadline has passed."""
        now = self.loop.time()
        for connection in self.connections:
            if connection.deadline <= now:
                connection.time_out(now)


class Dispatch(Protocol):
    """Answers a request, now or later, by `connection.answer` or `connection.stream`."""

    def __call__(self, request: Request, connection: "Connection", /) -> None:
        """Start answering a request; must not block."""


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
        "peer",
        "was_answered",
    )

    _transport: asyncio.Transport

    def __init__(self, front: Front, peer: str) -> None:
        self._front = front
        self.peer = peer
        self.deadline = front.loop.time() + front.limits.header_seconds
        self.current: Request | None = None
        """The request that is being answered."""
        self.was_answered = False
        """Whether a request on this connection was answered."""
        self._awaiting: deque[Request] = deque()
        """Pipelined requests: complete, but a request before them has no answer yet."""
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
            self.refuse(503, "Every connection has a request in progress. Send the request again later.")

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
            # IMS supports no other protocol: it answers the request as if it had no Upgrade, and closes the connection.
            self._is_discarding = True
        except httptools.HttpParserCallbackError as error:
            log.error("request_parsing_failed", exc_info=error)
            self.abort()
            return
        except httptools.HttpParserError:
            if not self._is_discarding:
                self.refuse(400, "The request is not valid HTTP.")
            return
        if not self._is_head_complete and self.current is None:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES and not self._is_discarding:
                self.refuse(431, _HEAD_TOO_LARGE)
        if self._awaiting and not self._is_discarding:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        # A client may close its half of the connection and still wait for its answer.
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
            self.refuse(431, f"A request may have at most {MOST_HEADERS} headers.")
            return
        if len(request.target) + sum(len(name) + len(value) for name, value in request.headers) > MOST_HEAD_BYTES:
            self.refuse(431, _HEAD_TOO_LARGE)
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
        """Whether a request has arrived and its answer is not complete."""
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
            # Answered here, so that it needs neither a thread nor the database.
            status, body = self._front.health()
            self.answer(request, status, JSON, body)
        else:
            self._front.dispatch(request, self)

    def _too_large(self, request: Request) -> None:
        """Have the application answer 413, for which it needs only the head; the rest of the body is discarded."""
        self._incoming, self._parts = None, []
        self._front.connections.body_done(self)
        self._is_discarding = True
        request.is_too_large, request.keep_alive = True, False
        self._arrived(request)

    # --- answers

    def answer(self, request: Request, status: int, headers: Headers, body: bytes) -> None:
        """Answer the current request with this status, these headers and this body."""
        if self._front.is_stopping:
            request.keep_alive = False
        self.answer_with(request, whole(request, status, headers, body))

    def answer_with(self, request: Request, data: bytes) -> None:
        """Answer the current request with these bytes, which are the complete answer."""
        if request is not self.current or self._is_ending:
            return
        self._transport.write(data)
        if not self._is_write_paused:
            self._finish()

    def stream(self, request: Request, start: bytes, parts: Outgoing) -> None:
        """Answer the current request in parts; each `pump` sends those that are ready."""
        if request is not self.current or self._is_ending:
            parts.abandon()
            return
        self._outgoing = parts
        self._transport.write(start)
        self.pump()

    def pump(self) -> None:
        """Send the parts of a streamed answer that are ready, until the client reads too slowly."""
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
        """Go on after the answer to the current request: next request, keep-alive, or close."""
        request, self.current = self.current, None
        if self._is_discarding:
            self._linger()
        elif request is None or not request.keep_alive or self._front.is_stopping or self._is_eof:
            self._end()
        else:
            self.was_answered = True
            self._front.connections.mark_recent(self)
            self.deadline = self._front.loop.time() + self._front.limits.keep_alive_seconds
            if self._awaiting:
                # Not called directly: a thousand pipelined requests would make a call stack a thousand deep.
                self._front.loop.call_soon(self._begin_next)

    def _begin_next(self) -> None:
        if self._is_ending or self.current is not None or not self._awaiting:
            return
        request = self._awaiting.popleft()
        if not self._awaiting:
            self._transport.resume_reading()
        self._begin(request)

    def refuse(self, status: int, detail: str) -> None:
        """Answer with an error what is not a valid request, or not yet a complete one, and close the connection."""
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
            # An earlier request is still being answered. What follows it is invalid, so its answer is the last one.
            self._is_discarding = True
            self._awaiting.clear()

    # --- endings

    def time_out(self, now: float) -> None:
        """Handle a passed deadline: close an idle connection, answer 408 to an incomplete request, drop a client that
        does not read its answer."""
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
            self.refuse(408, "The request did not arrive completely in time.")
        else:
            if not self.was_answered:
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
        """Close the connection once the client has read the answer."""
        self._is_ending = True
        self.deadline = self._front.loop.time() + self._front.limits.answer_seconds
        self._transport.close()

    def stop(self, *, is_final: bool) -> None:
        """The process is stopping: close the connection if no request is in progress, or in any case if `is_final`."""
        if is_final:
            self.abort()
        elif self.current is None and self._incoming is None:
            self._end()

    def abort(self) -> None:
        """Close the connection at once."""
        self._is_ending = True
        self._transport.abort()
