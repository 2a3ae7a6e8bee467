"""Requests that wait together are committed together.

A commit costs a flush to disk and a NOTIFY, which takes a lock that all of PostgreSQL shares: one commit for many
requests is what makes thousands a second. Whoever comes while a commit is under way waits; one of the waiting then
commits for all of them. No request is answered before its own commit.

Senders who wait for their answers come back together: without more ado they would fall into two groups, one of them on
its way while the other is committed. So the next commit waits for those who were just answered, but not longer than a
few times what the last one took: PostgreSQL works about as long for a commit as for six of its alerts. A lone request
finds nobody to wait for and pays nothing.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

import psycopg

from ims.alerts.episodes import Result
from ims.alerts.ingest import Outcome, ingest_by, is_deadlock
from ims.alerts.metrics import count_taken
from ims.alerts.notifications import AlertNotification, Parsed, Rejected, RejectReason
from ims.core.clock import utc_now
from ims.core.db.direct import DirectConnection
from ims.core.db.engine import Database
from ims.core.errors import DatabaseAway, IMSError
from ims.core.log import logger
from ims.core.queue import Job, defer_by
from ims.policy.queries import policy_in_force
from ims.policy.schema import Policy

log = logger(__name__)

MOST_NOTIFICATIONS = 5_000
"""Notifications in one common transaction; more would make the first ones wait for the last ones."""
MOST_BYTES = 16 * 1024 * 1024
"""Bodies in one common transaction: PostgreSQL takes at most 256 MB of JSON in one value."""
POLICY_SECONDS = 2.0
"""How long a process goes on with the policy it has read."""
HEARD_SECONDS = 10.0
"""How often a process notes that a source lives."""
PATIENCE = 4
"""A commit waits for those who were just answered, this many times as long as the last one took at most. The process
makes their answers and reads their next requests one after the other, which takes longer than the commit did."""
LONGEST_PATIENCE = 0.02
"""Seconds; longer than this no commit waits for anybody."""

Done = Callable[["Request"], None]
Cut = tuple[str, str | None]
"""Source and receiver of a notification that its sender cut."""


@dataclass(slots=True)
class Request:
    """One request's alerts, and after its commit what became of each notification."""

    source: str
    parsed: Parsed
    size: int = 0
    """Of its body, in bytes."""
    results: tuple[Result, ...] = ()
    error: IMSError | None = None
    is_done: bool = False
    done: "Done | None" = None
    """Called on the loop when its commit has ended, for a request that holds no thread."""
    turn: threading.Lock = field(default_factory=threading.Lock)
    """Held until the request is done, or until it is on its thread to commit."""

    def __post_init__(self) -> None:
        self.turn.acquire()


@dataclass(slots=True)
class Committer:
    """Commits the alerts of one server process. Threads share it; a fork before its first use is harmless."""

    database: Database
    clock: Callable[[], datetime] = utc_now
    _connection: DirectConnection = field(init=False)
    _lock: threading.Condition = field(default_factory=threading.Condition)
    _waiting: list[Request] = field(default_factory=list)
    _is_committing: bool = False
    _expected: int = 0
    """Requests that the last commit answered or kept waiting: as many may be there for the next one."""
    _patient_until: float = 0.0
    _policy: Policy | None = None
    _policy_read_at: float = 0.0
    _heard_at: dict[str, float] = field(default_factory=dict)
    _loop: asyncio.AbstractEventLoop | None = None
    """Where requests without a thread are answered: the loop that brought the first of them."""
    _thread: ThreadPoolExecutor | None = None
    """Commits for those who have no thread."""

    def __post_init__(self) -> None:
        self._connection = self.database.direct()

    def commit(self, request: Request) -> None:
        """Return when the request is committed. Raises `DatabaseAway` when it is not."""
        with self._lock:
            self._waiting.append(request)
            must_wait, self._is_committing = self._is_committing, True
            if len(self._waiting) >= self._expected:
                self._lock.notify()
        if must_wait:
            request.turn.acquire()
        if not request.is_done:
            self._commit_for(self._gather())
        if request.error:
            raise request.error

    def commit_later(self, request: Request) -> None:
        """Commit a request that holds no thread, and call `request.done` on this thread's loop. Never waits."""
        if self._loop is None or self._thread is None:
            self._loop, self._thread = asyncio.get_running_loop(), ThreadPoolExecutor(1, "commit")
        with self._lock:
            self._waiting.append(request)
            must_wait, self._is_committing = self._is_committing, True
            if len(self._waiting) >= self._expected:
                self._lock.notify()
        if not must_wait:
            self._thread.submit(self._commit_in_turn)

    def _commit_in_turn(self) -> None:
        """It is the turn of somebody without a thread."""
        try:
            self._commit_for(self._gather())
        except Exception as error:
            log.error("commit_broke", exc_info=error)

    def _gather(self) -> list[Request]:
        """The requests of the next commit, once those are there that were answered a moment ago."""
        with self._lock:
            patience = self._patient_until - time.monotonic()
            self._lock.wait_for(lambda: len(self._waiting) >= self._expected, max(patience, 0))
            return self._take()

    def _commit_for(self, together: Sequence[Request]) -> None:
        began = time.monotonic()
        try:
            self._commit_together(together)
        finally:
            for request in together:
                if not request.is_done:
                    # Something unforeseen is on its way up this thread; the others are told to come again.
                    request.error, request.is_done = DatabaseAway(), True
                if request.done is None:
                    request.turn.release()
            self._answer([request for request in together if request.done is not None])
            self._hand_over(len(together), time.monotonic() - began)

    def _answer(self, committed: list[Request]) -> None:
        """Let those be answered who have no thread: all at once, for each call wakes the loop."""
        if committed and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it their connections
                self._loop.call_soon_threadsafe(_answer_all, committed)

    def _hand_over(self, answered: int, seconds: float) -> None:
        """The next commit is on whoever has waited longest."""
        with self._lock:
            self._expected = answered + len(self._waiting)
            self._patient_until = time.monotonic() + min(PATIENCE * seconds, LONGEST_PATIENCE)
            if not self._waiting:
                self._is_committing = False
            elif self._waiting[0].done is None:
                self._waiting[0].turn.release()
            elif self._thread is not None:
                self._thread.submit(self._commit_in_turn)

    def _take(self) -> list[Request]:
        """The requests that have waited longest, as many as one transaction should hold, and at least one."""
        count = notifications = size = 0
        for request in self._waiting:
            notifications += len(request.parsed.notifications) + len(request.parsed.rejected)
            size += request.size
            if count and (notifications > MOST_NOTIFICATIONS or size > MOST_BYTES):
                break
            count += 1
        together, self._waiting = self._waiting[:count], self._waiting[count:]
        return together

    def _commit_together(self, together: Sequence[Request]) -> None:
        try:
            self._commit_at_once(together)
        except DatabaseAway as error:
            for request in together:
                request.error, request.is_done = type(error)(), True
        except (psycopg.Error, UnicodeError) as error:
            log.warning("common_commit_failed", requests=len(together), error=type(error).__name__)
            for request in together:
                self._commit_alone(request)

    def _commit_alone(self, request: Request) -> None:
        """One request in its own transaction; if that fails too, each of its notifications in its own."""
        try:
            self._commit_at_once([request])
        except DatabaseAway as error:
            request.error, request.is_done = type(error)(), True
        except (psycopg.Error, UnicodeError):
            try:
                self._commit_one_by_one(request)
            except DatabaseAway as error:
                request.error, request.is_done = type(error)(), True

    def _commit_one_by_one(self, request: Request) -> None:
        """Put aside the notification that the database refuses, and take the others. What was taken may repeat."""
        results: list[Result] = []
        self._transact([], request.parsed.rejected, ())
        for notification in request.parsed.notifications:
            try:
                results += self._transact([notification], [], ()).results
            except (psycopg.Error, UnicodeError) as error:
                log.error("notification_not_storable", source=request.source, error=type(error).__name__)
                self._transact([], [_not_storable(notification)], ())
                results.append(Result.REJECTED)
        request.results, request.is_done = tuple(results), True

    def _commit_at_once(self, requests: Sequence[Request]) -> None:
        notifications = [notification for request in requests for notification in request.parsed.notifications]
        rejected = [one for request in requests for one in request.parsed.rejected]
        truncated = {(request.source, request.parsed.receiver) for request in requests if request.parsed.truncated}
        try:
            outcome = self._transact(notifications, rejected, truncated)
        except DatabaseAway as error:
            if not is_deadlock(error):
                raise
            outcome = self._transact(notifications, rejected, truncated)
        start = 0
        for request in requests:
            end = start + len(request.parsed.notifications)
            request.results, request.is_done = outcome.results[start:end], True
            start = end

    def _transact(
        self, notifications: Sequence[AlertNotification], rejected: Sequence[Rejected], truncated: Collection[Cut]
    ) -> Outcome:
        policy, now = self._policy_now(), time.monotonic()
        heard = {notification.source for notification in notifications}
        heard = {source for source in heard if now - self._heard_at.get(source, -HEARD_SECONDS) >= HEARD_SECONDS}
        with self._connection.begin() as execute:
            outcome = ingest_by(execute, notifications, rejected, policy, self.clock(), heard=heard)
            for source, receiver in truncated:
                defer_by(execute, Job.FETCH_TRUNCATED, source=source, receiver=receiver)
        self._heard_at |= dict.fromkeys(heard, now)
        count_taken(outcome, rejected)
        return outcome

    def _policy_now(self) -> Policy:
        if self._policy is None or time.monotonic() - self._policy_read_at > POLICY_SECONDS:
            with self.database.begin() as session:
                self._policy, self._policy_read_at = policy_in_force(session), time.monotonic()
        return self._policy


def _not_storable(notification: AlertNotification) -> Rejected:
    return Rejected(
        notification.source,
        RejectReason.NOT_STORABLE,
        "The database refused it.",
        ascii({"fingerprint": notification.fingerprint, "labels": dict(notification.labels)}),
    )


def _answer_all(committed: Sequence[Request]) -> None:
    for request in committed:
        if request.done is not None:
            try:
                request.done(request)
            except Exception as error:
                log.error("answer_broke", exc_info=error)
