"""Group commit: requests that wait at the same time share a commit; each is answered after its own commit."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from psycopg.errors import DataError

from ims.alerts.episodes import Result
from ims.alerts.ingest import Outcome
from ims.alerts.notifications import AlertNotification, Parsed, Rejected
from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.core.errors import DatabaseAway
from ims.core.severity import Severity
from tests.support.notifications import SOURCE, notification, policy
from webhook import committer as committer_module
from webhook.committer import MANY_NOTIFICATIONS, MOST_BYTES, MOST_NOTIFICATIONS, Committer, Request

POISON = "Poison"


class Store(Database):
    """Stands for the database: keeps what was committed, and may be away, slow, or refuse a notification."""

    def __init__(self) -> None:
        self.commits: list[list[str]] = []
        self.rejected: list[Rejected] = []
        self.is_away = False
        self.gate = threading.Event()
        self.gate.set()

    def direct(self) -> Any:
        """The connection that the committer keeps: its transactions are this one's."""
        return self

    def now(self) -> datetime:
        return utc_now()

    @contextmanager
    def begin(self) -> Iterator[Any]:
        if self.is_away:
            raise DatabaseAway
        taken: list[Any] = []
        yield taken
        if not taken:
            return
        self.gate.wait(10)
        self.commits.append([one.name for one in taken if isinstance(one, AlertNotification)])
        self.rejected += [one for one in taken if isinstance(one, Rejected)]


def ingest(execute: Any, notifications: Any, rejected: Any, *_: Any, **__: Any) -> Outcome:
    if any(one.name == POISON for one in notifications):
        raise DataError("refused")
    execute += [*notifications, *rejected]
    return Outcome((Result.OPENED,) * len(notifications), (Severity.LOW,) * len(notifications))


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(committer_module, "ingest_by", ingest)
    monkeypatch.setattr(committer_module, "policy_in_force", lambda _session: policy())
    return Store()


def request(*names: str) -> Request:
    return Request(SOURCE, Parsed(tuple(notification(name) for name in names), ()))


def test_a_lone_request_is_committed_at_once(store: Store) -> None:
    one = request("A", "B")
    Committer(store).commit(one)
    assert (one.results, store.commits) == ((Result.OPENED, Result.OPENED), [["A", "B"]])


def run_together(store: Store, first: Request, *others: Request) -> list[BaseException | None]:
    """Let `first` begin its commit and hold it until the others wait; then let go."""
    committer = Committer(store)
    errors: list[BaseException | None] = [None] * (len(others) + 1)

    def commit(place: int, one: Request) -> None:
        try:
            committer.commit(one)
        except DatabaseAway as error:
            errors[place] = error

    store.gate.clear()
    threads = [threading.Thread(target=commit, args=(place, one)) for place, one in enumerate((first, *others))]
    threads[0].start()
    while committer._waiting or not committer._commits:
        threading.Event().wait(0.001)
    for thread in threads[1:]:
        thread.start()
    while len(committer._waiting) < len(others):
        threading.Event().wait(0.001)
    assert not any(one.is_done for one in (first, *others)), "nobody is answered before the commit"
    store.gate.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    return errors


def test_waiting_requests_share_one_commit(store: Store) -> None:
    others = [request(f"Other{n}", "Too") for n in range(8)]
    errors = run_together(store, request("First"), *others)
    assert errors == [None] * 9
    assert store.commits[0] == ["First"]
    assert len(store.commits) == 2
    assert sorted(store.commits[1]) == sorted([f"Other{n}" for n in range(8)] + ["Too"] * 8)
    assert all(len(one.results) == 2 for one in others)


def test_a_commit_waits_for_senders_that_were_just_answered(store: Store) -> None:
    committer = Committer(store)
    committer._expected, committer._patient_until = 2, time.monotonic() + 60
    threads = [threading.Thread(target=committer.commit, args=(request(name),)) for name in ("A", "B")]
    threads[0].start()
    while not committer._commits:
        threading.Event().wait(0.001)
    assert not store.commits
    threads[1].start()
    for thread in threads:
        thread.join(10)
    assert store.commits == [["A", "B"]]


def test_a_commit_does_not_wait_long_for_senders_that_stay_away(store: Store) -> None:
    committer = Committer(store)
    committer._expected, committer._patient_until = 2, time.monotonic() + 0.05
    committer.commit(request("A"))
    committer.commit(request("B"))
    assert store.commits == [["A"], ["B"]]


def test_a_large_request_does_not_keep_the_others_waiting_in_one_transaction(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer_module, "MOST_COMMITS", 1)
    large = request(*["Large"] * MOST_NOTIFICATIONS)
    run_together(store, request("First"), request("Small"), large, request("Small"))
    assert max(map(len, store.commits)) <= MOST_NOTIFICATIONS + 1
    assert sum(map(len, store.commits)) == MOST_NOTIFICATIONS + 3


def test_many_waiting_alerts_are_committed_beside_the_commit_that_runs(store: Store) -> None:
    committer = Committer(store)
    store.gate.clear()
    half = MANY_NOTIFICATIONS // 2
    requests = [request("First"), request("Few"), request(*["Half"] * half), request(*["Rest"] * half), request("Last")]
    threads = [threading.Thread(target=committer.commit, args=(one,)) for one in requests]

    def start(number: int, waiting: int, commits: int) -> None:
        threads[number].start()
        while (len(committer._waiting), committer._commits) != (waiting, commits):
            threading.Event().wait(0.001)

    start(0, waiting=0, commits=1)
    start(1, waiting=1, commits=1)
    start(2, waiting=2, commits=1)
    # Now they are many: a second commit takes all of them.
    start(3, waiting=0, commits=2)
    start(4, waiting=1, commits=2)
    store.gate.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert all(one.is_done and one.error is None for one in requests)
    assert sorted(map(len, store.commits)) == [1, 1, 2 * half + 1]
    assert (committer._commits, len(committer._connections)) == (0, committer_module.MOST_COMMITS)


def test_large_bodies_do_not_share_a_transaction(store: Store) -> None:
    others = [request("Other") for _ in range(3)]
    for one in others:
        one.size = MOST_BYTES // 2 + 1
    run_together(store, request("First"), *others)
    assert store.commits == [["First"], ["Other"], ["Other"], ["Other"]]


def test_a_notification_that_the_database_rejects_becomes_a_dead_letter_and_affects_no_other(store: Store) -> None:
    bad = request("Good", POISON, "Fine")
    errors = run_together(store, request("First"), request("Other"), bad)
    assert errors == [None] * 3
    assert sorted(name for commit in store.commits for name in commit) == ["Fine", "First", "Good", "Other"]
    assert bad.results == (Result.OPENED, Result.REJECTED, Result.OPENED)
    assert [one.reason.value for one in store.rejected] == ["not_storable"]


def test_every_waiting_request_fails_when_the_database_is_away(store: Store) -> None:
    committer = Committer(store)
    store.is_away = True
    with pytest.raises(DatabaseAway):
        committer.commit(request("A"))
    store.is_away = False
    committer.commit(request("A"))
    assert store.commits == [["A"]]


def test_an_unexpected_error_leaves_no_request_waiting(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    committer = Committer(store)

    def broken(*_: Any, **__: Any) -> Outcome:
        raise KeyError("a bug")

    monkeypatch.setattr(committer_module, "ingest_by", broken)
    with pytest.raises(KeyError):
        committer.commit(request("A"))
    monkeypatch.setattr(committer_module, "ingest_by", ingest)
    committer.commit(request("B"))
    assert store.commits == [["B"]]
