"""Group commit: requests that wait at the same time are committed in one transaction.

A commit costs a flush to disk and a NOTIFY, which takes a lock that all of PostgreSQL shares. One commit for many
requests makes thousands of requests a second possible. A request that arrives during a commit waits; then one of the
waiting requests commits for all of them. No request is answered before its own commit.

Senders that wait for their responses send their next requests together: without a pause they would fall into two
groups, one under way while the other is committed. So the next commit waits for the senders that were just answered,
but no longer than a few times the duration of the last commit: PostgreSQL works about as long for a commit as for six
of its alerts. A lone request has no others to wait for and is not delayed.

When many alerts wait, a second commit runs beside the first one: then PostgreSQL's work for the alerts counts, not the
number of commits, and a second core can do half of it.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Final

import psycopg

from ims.alerts.episodes import Result
from ims.alerts.ingest import Outcome, ingest_by, is_deadlock
from ims.alerts.metrics import ALERTS_TRUNCATED, count_taken
from ims.alerts.notifications import AlertNotification, Parsed, Rejected, RejectReason
from ims.core.db.direct import DirectConnection
from ims.core.db.engine import Database
from ims.core.errors import DatabaseAway, IMSError
from ims.core.log import logger
from ims.core.queue import Job, defer_by
from ims.policy.queries import policy_in_force
from ims.policy.schema import Policy

log = logger(__name__)

MOST_NOTIFICATIONS = 5_000
"""Notifications in one shared transaction; with more, the first ones would wait too long for the last ones."""
MOST_BYTES = 16 * 1024 * 1024
"""Bytes of request bodies in one shared transaction: PostgreSQL accepts at most 256 MB of JSON in one value."""
POLICY_SECONDS = 2.0
"""Seconds a process uses the policy it has read before it reads the policy again."""
HEARD_SECONDS = 10.0
"""Seconds between two updates of a source's last-seen time by one process."""
PATIENCE = 4
"""A commit waits for the senders that were just answered, at most this many times the duration of the last commit. The
process writes their responses and reads their next requests one after the other, which takes longer than the commit."""
LONGEST_PATIENCE = 0.02
"""Upper bound of that wait, in seconds."""
MOST_COMMITS = 2
"""Commits of one process at the same time."""
MANY_NOTIFICATIONS = 200
"""A second commit begins when so many notifications wait. With fewer, two commits cost more than they save."""

Done = Callable[["Request"], None]
MOST_CUT: Final = 100
"""Alerts of a truncated notification by which its incidents are found."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A notification that its sender truncated: how many alerts it left out, and some that it did not."""

    source: str
    receiver: str | None
    alerts: int
    fingerprints: tuple[str, ...]


@dataclass(slots=True)
class Request:
    """One request's alerts, and after its commit the result of each notification."""

    source: str
    parsed: Parsed
    size: int = 0
    """Size of its body, in bytes."""
    results: tuple[Result, ...] = ()
    error: IMSError | None = None
    is_done: bool = False
    done: "Done | None" = None
    """Called on the loop when its commit has ended, for a request that holds no thread."""
    turn: threading.Lock = field(default_factory=threading.Lock)
    """Locked until the request is done, or until its thread has the turn to commit."""

    def __post_init__(self) -> None:
        self.turn.acquire()


@dataclass(slots=True)
class Committer:
    """Commits the alerts of one server process. Threads share it; forking before its first use is safe."""

    database: Database
    clock: Callable[[], datetime] | None = None
    """Times of what is stored; the database's clock unless a test gives another."""
    _connections: list[DirectConnection] = field(init=False)
    """One for each commit that may run; those in use are taken out."""
    _lock: threading.Condition = field(default_factory=threading.Condition)
    _waiting: list[Request] = field(default_factory=list)
    _commits: int = 0
    """Commits that run, or whose turn has been given to a request."""
    _expected: int = 0
    """Requests that the last commit answered or kept waiting: as many are expected for the next commit."""
    _patient_until: float = 0.0
    _policy: Policy | None = None
    _policy_read_at: float = 0.0
    _heard_at: dict[str, float] = field(default_factory=dict)
    _loop: asyncio.AbstractEventLoop | None = None
    """Where requests without a thread are answered: the loop that brought the first of them."""
    _thread: ThreadPoolExecutor | None = None
    """Commits for those who have no thread."""

    def __post_init__(self) -> None:
        self._connections = [self.database.direct() for _ in range(MOST_COMMITS)]

    def commit(self, request: Request) -> None:
        """Return when the request is committed. Raises `DatabaseAway` when it is not."""
        if not self._begins(request):
            request.turn.acquire()
        if not request.is_done:
            self._commit_for(self._gather(request))
        if request.error:
            raise request.error

    def commit_later(self, request: Request) -> None:
        """Commit a request that holds no thread, and call `request.done` on this thread's loop. Never waits."""
        if self._loop is None or self._thread is None:
            self._loop, self._thread = asyncio.get_running_loop(), ThreadPoolExecutor(MOST_COMMITS, "commit")
        if self._begins(request):
            self._thread.submit(self._commit_in_turn, request)

    def _begins(self, request: Request) -> bool:
        """Whether a request begins a commit; else it waits for one."""
        with self._lock:
            self._waiting.append(request)
            begins = not self._commits or (self._commits < MOST_COMMITS and self._are_many())
            if begins:
                self._commits += 1
                self._waiting.pop()
            if self._is_complete():
                self._lock.notify_all()
        return begins

    def _are_many(self) -> bool:
        return sum(len(request.parsed.notifications) for request in self._waiting) >= MANY_NOTIFICATIONS

    def _is_complete(self) -> bool:
        """Whether the next commit need not wait for further requests."""
        return len(self._waiting) + 1 >= self._expected or self._are_many()

    def _commit_in_turn(self, request: Request) -> None:
        """It is the turn of a request without a thread."""
        try:
            self._commit_for(self._gather(request))
        except Exception as error:
            log.error("commit_failed", exc_info=error)

    def _gather(self, first: Request) -> list[Request]:
        """The requests of a commit that `first` begins; waits for the senders that were just answered."""
        with self._lock:
            patience = self._patient_until - time.monotonic()
            self._lock.wait_for(self._is_complete, max(patience, 0))
            return self._take(first)

    def _commit_for(self, together: Sequence[Request]) -> None:
        began = time.monotonic()
        try:
            self._commit_together(together)
        finally:
            for request in together:
                if not request.is_done:
                    # An unexpected error propagates in this thread; the other requests get a 503 and are sent again.
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
        """Give the turn to commit to the request that has waited longest."""
        with self._lock:
            self._expected = answered + len(self._waiting)
            self._patient_until = time.monotonic() + min(PATIENCE * seconds, LONGEST_PATIENCE)
            if not self._waiting or (self._commits > 1 and not self._are_many()):
                # Another commit that runs takes those who wait.
                self._commits -= 1
                return
            request = self._waiting.pop(0)
        if request.done is None:
            request.turn.release()
        elif self._thread is not None:
            self._thread.submit(self._commit_in_turn, request)

    def _take(self, first: Request) -> list[Request]:
        """`first` and the requests that have waited longest, as many as one transaction may hold."""
        count = notifications = size = 0
        for request in (first, *self._waiting):
            notifications += len(request.parsed.notifications) + len(request.parsed.rejected)
            size += request.size
            if count and (notifications > MOST_NOTIFICATIONS or size > MOST_BYTES):
                break
            count += 1
        together, self._waiting = [first, *self._waiting[: count - 1]], self._waiting[count - 1 :]
        return together

    def _commit_together(self, together: Sequence[Request]) -> None:
        try:
            self._commit_at_once(together)
        except DatabaseAway as error:
            for request in together:
                request.error, request.is_done = type(error)(), True
        except (psycopg.Error, UnicodeError) as error:
            log.warning("shared_commit_failed", requests=len(together), error=type(error).__name__)
            for request in together:
                self._commit_alone(request)

    def _commit_alone(self, request: Request) -> None:
        """Commit one request in its own transaction; if that fails too, each of its notifications separately."""
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
        """Store a notification that the database rejects as a dead letter and commit the others.

        If the database goes away in between, the sender repeats the request: committed notifications are duplicates.
        """
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
        truncated = [_cut(request) for request in requests if request.parsed.truncated]
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
        policy, now = self.policy(), time.monotonic()
        heard = {notification.source for notification in notifications}
        heard = {source for source in heard if now - self._heard_at.get(source, -HEARD_SECONDS) >= HEARD_SECONDS}
        # Before the transaction: asking takes a connection of its own.
        stored_at = self._now()
        connection = self._connections.pop()
        try:
            with connection.begin() as execute:
                outcome = ingest_by(execute, notifications, rejected, policy, stored_at, heard=heard)
                for cut in truncated:
                    defer_by(execute, Job.FETCH_TRUNCATED, **asdict(cut))
        finally:
            self._connections.append(connection)
        self._heard_at |= dict.fromkeys(heard, now)
        count_taken(outcome, rejected)
        ALERTS_TRUNCATED.inc(sum(cut.alerts for cut in truncated))
        return outcome

    def _now(self) -> datetime:
        return self.clock() if self.clock else self.database.now()

    def policy(self) -> Policy:
        """The policy in force, as of two seconds ago at most."""
        if self._policy is None or time.monotonic() - self._policy_read_at > POLICY_SECONDS:
            with self.database.begin() as session:
                self._policy, self._policy_read_at = policy_in_force(session), time.monotonic()
        return self._policy


def _cut(request: Request) -> Cut:
    kept = request.parsed.notifications[:MOST_CUT]
    fingerprints = tuple(notification.fingerprint for notification in kept)
    return Cut(request.source, request.parsed.receiver, request.parsed.truncated, fingerprints)


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
                log.error("answer_failed", exc_info=error)
