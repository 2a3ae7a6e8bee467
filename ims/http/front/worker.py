"""Gunicorn's worker class: the event loop of a serving process.

Gunicorn's master binds the address, starts the processes, restarts those that die or whose loop hangs, and stops them.
It cannot pass limits to a worker class, so each program's Gunicorn configuration makes its own class with `serving`.
"""

import asyncio
import contextlib
import errno
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ClassVar, Final, Protocol

from gunicorn.workers.base import Worker

from ims.core.log import logger
from ims.http.front import wsgi
from ims.http.front.limits import Limits
from ims.http.front.messages import PROBLEM_JSON, UNEXPECTED, Request, problem
from ims.http.front.protocol import Connection, Front

log = logger(__name__)

DIRECT: Final = "ims.front.direct"
"""Key in an application's `extensions` for its `Direct`, which answers some requests on the loop, without a thread."""
OWN_THREADS: Final = frozenset({b"/health/ready", b"/metrics"})
"""Paths of probes and of Prometheus. They have threads of their own, so that busy threads do not delay them."""
SWEEP_SECONDS: Final = 0.5
STUCK_SECONDS: Final = 120
"""If every thread has worked on one request for this long, the process will not recover by itself: PostgreSQL ends
statements after 30 seconds."""
RECEIVING_SECONDS: Final = 2
"""How long a process that stops waits for the rest of incomplete requests."""
OTHER_FILES: Final = 256
"""File descriptors for everything but connections."""


class Direct(Protocol):
    """Answers some requests on the loop, without a thread."""

    def __call__(self, request: Request, connection: Connection, /) -> bool:
        """Whether it accepts this request; if so, it answers it, now or later. Must not block."""


class FrontWorker(Worker):  # type: ignore[misc]
    """One serving process."""

    limits: ClassVar[Limits]

    def init_signals(self) -> None:
        """Reset the signals: the event loop handles them, and it does not exist yet."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGABRT, self.handle_abort)

    def run(self) -> None:
        """Serve until a signal stops the process."""
        asyncio.run(_Serving(self).serve())


def serving(limits: Limits) -> type[FrontWorker]:
    """A worker class with these limits."""
    return type("FrontWorker", (FrontWorker,), {"limits": limits})


class _Threads:
    """Threads that call the application, and when each began its current request."""

    def __init__(self, count: int, name: str) -> None:
        self.count = count
        self._executor = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._since: dict[int, float] = {}

    def submit(self, work: Callable[[], None]) -> None:
        self._executor.submit(self._do, work)

    def _do(self, work: Callable[[], None]) -> None:
        thread = threading.get_ident()
        self._since[thread] = time.monotonic()
        try:
            work()
        finally:
            del self._since[thread]

    @property
    def is_stuck(self) -> bool:
        since = list(self._since.values())
        return len(since) >= self.count and time.monotonic() - max(since) > STUCK_SECONDS

    def end(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


class _Serving:
    """The work of a process between its start and its end."""

    def __init__(self, worker: FrontWorker) -> None:
        self._worker = worker
        self._limits = worker.limits
        self._application: wsgi.Application = worker.wsgi
        self._direct: Direct | None = getattr(worker.wsgi, "extensions", {}).get(DIRECT)
        self._threads = _Threads(worker.cfg.threads, "request")
        self._own_threads = _Threads(2, "watch")
        self._ending = asyncio.Event()
        self._is_quick = False
        self._opening: set[asyncio.Task[Any]] = set()
        self._listeners: list[socket.socket] = [one.sock for one in worker.sockets]

    async def serve(self) -> None:
        """Serve until the process is to stop, then drain."""
        from ims.http.front.metrics import CONNECTIONS_CLOSED

        loop = asyncio.get_running_loop()
        self._loop = loop
        self._front = Front(loop, self._limits, self._dispatch, lambda limit: CONNECTIONS_CLOSED.labels(limit).inc())
        self._front.health = self._health
        _allow_files(self._limits.connections)
        self._handle_signals()
        for listener in self._listeners:
            listener.setblocking(False)
            loop.add_reader(listener, self._accept, listener)
        await self._watch()
        for listener in self._listeners:
            loop.remove_reader(listener)
        await self._drain()
        self._threads.end()
        self._own_threads.end()

    def _handle_signals(self) -> None:
        for number in (signal.SIGQUIT, signal.SIGINT):
            self._loop.add_signal_handler(number, self._end, True)
        self._loop.add_signal_handler(signal.SIGTERM, self._end, False)
        self._loop.add_signal_handler(signal.SIGUSR1, self._worker.log.reopen_files)
        signal.signal(signal.SIGWINCH, signal.SIG_IGN)

    def _end(self, is_quick: bool) -> None:
        self._is_quick = self._is_quick or is_quick
        self._worker.alive = False
        self._ending.set()

    async def _watch(self) -> None:
        """Report to the master that the loop is running, and time out connections."""
        while not self._ending.is_set() and self._worker.ppid == os.getppid():
            self._worker.notify()
            self._front.sweep()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), SWEEP_SECONDS)

    async def _drain(self) -> None:
        """Finish the requests in progress, unless the process is to stop quickly."""
        front, began = self._front, self._loop.time()
        front.is_stopping = True
        # A socket that was just accepted becomes a connection in the loop's next iteration.
        await asyncio.sleep(0)
        while not self._is_quick and self._loop.time() - began < self._worker.cfg.graceful_timeout:
            is_receiving_over = self._loop.time() - began > RECEIVING_SECONDS
            for connection in front.connections:
                if is_receiving_over and not connection.is_busy:
                    connection.abort()
                else:
                    connection.stop(is_final=False)
            if not front.connections:
                break
            self._worker.notify()
            await asyncio.sleep(0.02)
        for connection in front.connections:
            connection.stop(is_final=True)
        await asyncio.sleep(0)

    # --- connections

    def _accept(self, listener: socket.socket) -> None:
        """Accept one connection, and leave the others to the other processes."""
        try:
            accepted, address = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                raise
            if not self._front.connections.free_one():
                log.error("file_descriptors_exhausted", error=errno.errorcode[error.errno])
                self._loop.remove_reader(listener)
                self._loop.call_later(SWEEP_SECONDS, self._accept_again, listener)
            return
        accepted.setblocking(False)
        peer = address[0] if isinstance(address, tuple) else ""
        opening = self._loop.connect_accepted_socket(partial(Connection, self._front, peer), accepted)
        task = self._loop.create_task(opening)
        self._opening.add(task)
        task.add_done_callback(self._opened)

    def _accept_again(self, listener: socket.socket) -> None:
        if not self._ending.is_set():
            self._loop.add_reader(listener, self._accept, listener)

    def _opened(self, task: asyncio.Task[Any]) -> None:
        self._opening.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("connection_not_opened", error=type(error).__name__)

    # --- requests

    def _dispatch(self, request: Request, connection: Connection) -> None:
        try:
            if self._direct is not None and self._direct(request, connection):
                return
        except Exception as error:
            log.error("request_failed", exc_info=error)
            connection.answer(request, 500, PROBLEM_JSON, problem(500, UNEXPECTED))
            return
        environ = wsgi.environment(request, self._address(), self._limits.trusted_proxies)
        threads = self._own_threads if request.path in OWN_THREADS else self._threads
        threads.submit(partial(wsgi.call, self._application, request, connection, self._loop, environ))

    def _address(self) -> tuple[str, int]:
        name = self._listeners[0].getsockname()
        return (name[0], name[1]) if isinstance(name, tuple) else ("localhost", 0)

    def _health(self) -> tuple[int, bytes]:
        """The answer of `/health`: a busy process is healthy, one whose threads are all stuck is not."""
        return (503, b'{"status": "stuck"}') if self._threads.is_stuck else (200, b'{"status": "ok"}')


def _allow_files(connections: int) -> None:
    """Raise the limit of open files: each connection needs one, and the default is often 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
