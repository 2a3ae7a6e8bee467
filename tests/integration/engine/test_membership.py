"""Workers know each other: one is leader, another takes over when it dies, and each has its shard."""

import asyncio
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from ims.core.db.engine import Database
from ims.core.queue import WorkerContext
from ims.core.settings import Settings
from ims.engine.identity import new_worker_id
from ims.engine.membership import Membership
from ims.engine.module import Reports
from ims.workers.models import EngineLeader, Worker, WorkerState
from ims.workers.queries import list_workers
from ims.workers.usecases import FORGOTTEN_AFTER, LEADER_LEASE, forget_lost_workers, step_down, write_heartbeat
from tests.integration.engine.conftest import StartWorker
from tests.support.registered import add_worker, registered
from tests.support.workers import WorkerProcess, wait_until

pytestmark = pytest.mark.parametrize("postgres", ["18"], indirect=True)

A, B, C = registered("a"), registered("b"), registered("c")
WORKING = WorkerState.WORKING


def leader_pid(database: Database) -> int | None:
    """The process id of the present leader in the database."""
    with database.begin() as session:
        return next((one.row.pid for one in list_workers(session) if one.is_leader), None)


def leads(worker: WorkerProcess, database: Database) -> bool:
    return worker.process is not None and leader_pid(database) == worker.process.pid


def led_since(worker: WorkerProcess) -> bool:
    return '"became_leader"' in worker.log.read_text()


def end_lease(session: Session) -> None:
    """As if the leader had sent no heartbeat for the duration of its lease."""
    session.execute(update(EngineLeader).values(until=EngineLeader.until - LEADER_LEASE))


def test_the_first_leads_until_its_lease_ends(session: Session) -> None:
    assert write_heartbeat(session, A, WORKING).leader == A.id
    assert write_heartbeat(session, B, WORKING).leader == A.id
    end_lease(session)
    assert write_heartbeat(session, B, WORKING).leader == B.id
    assert write_heartbeat(session, A, WORKING).leader == B.id


def test_a_starting_or_stopping_worker_does_not_lead(session: Session) -> None:
    assert write_heartbeat(session, A, WorkerState.STARTING).leader is None
    assert write_heartbeat(session, A, WORKING).leader == A.id
    step_down(session, A)
    standing = write_heartbeat(session, B, WORKING)
    assert standing.leader == B.id
    assert [peer.id for peer in standing.peers] == [B.id]


def test_the_lease_of_a_worker_known_to_be_dead_ends_at_once(session: Session) -> None:
    write_heartbeat(session, A, WORKING)
    assert write_heartbeat(session, B, WORKING, dead=[C.id]).leader == A.id
    assert write_heartbeat(session, B, WORKING, dead=[A.id]).leader == B.id


def test_workers_that_begin_at_once_agree_on_one_leader(database: Database) -> None:
    me = [registered(f"w{number}") for number in range(8)]

    def begin(number: int) -> str | None:
        with database.begin() as session:
            return write_heartbeat(session, me[number], WORKING).leader

    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(begin, range(8)))
    assert len(found) == 1
    assert found <= {one.id for one in me}


def test_a_worker_without_heartbeats_has_no_shard_and_is_removed_later(session: Session) -> None:
    add_worker(session, "a")
    add_worker(session, "b", silent=11)
    assert [peer.id for peer in write_heartbeat(session, A, WORKING).peers] == [A.id]
    assert forget_lost_workers(session) == 0
    add_worker(session, "c", silent=FORGOTTEN_AFTER.total_seconds() + 1)
    assert forget_lost_workers(session) == 1
    assert set(session.scalars(select(Worker.id))) == {A.id, B.id}


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def test_a_worker_that_cannot_renew_stops_leading_before_another_begins(
    settings: Settings, database: Database, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ims.workers.usecases.LEADER_LEASE", timedelta(seconds=1))
    monkeypatch.setattr("ims.engine.membership.LEADER_LEASE", timedelta(seconds=1))
    context = WorkerContext(settings, database, new_worker_id(), threads)
    membership = Membership(context, Reports())
    membership.state = WORKING
    asyncio.run(membership.send_heartbeat(context))
    assert membership.is_leader

    def other_leads() -> bool:
        believed = membership.is_leader
        with database.begin() as session:
            leads = write_heartbeat(session, B, WORKING).leader == B.id
        # Read before the other's heartbeat: if both had led at once, this would still be true.
        assert not (leads and believed)
        return leads

    assert wait_until(other_leads, 10, every=0.01)
    asyncio.run(membership.send_heartbeat(context))
    assert not membership.is_leader


def test_two_workers_share_the_sources(settings: Settings, database: Database, threads: ThreadPoolExecutor) -> None:
    members = []
    for _ in range(2):
        context = WorkerContext(settings, database, new_worker_id(), threads)
        membership = Membership(context, Reports())
        membership.state = WORKING
        members.append((membership, context))
    for membership, context in (*members, *members):
        asyncio.run(membership.send_heartbeat(context))
    names = [f"source-{number}" for number in range(100)]
    shares = [{name for name in names if membership.shard.owns(name)} for membership, _ in members]
    assert shares[0] | shares[1] == set(names)
    assert not shares[0] & shares[1]
    assert all(shares)
    asyncio.run(members[1][0].step_down())
    asyncio.run(members[0][0].send_heartbeat(members[0][1]))
    assert all(members[0][0].shard.owns(name) for name in names)


def test_a_killed_leader_is_replaced_and_a_stopped_one_hands_over(
    start_worker: StartWorker, database: Database
) -> None:
    first = start_worker()
    assert wait_until(lambda: leads(first, database), 20)
    second, third = start_worker(), start_worker()
    assert wait_until(lambda: _hosts(database) == {"working": 3}, 20)
    assert leads(first, database)
    first.kill()
    begun = time.monotonic()
    others = (second, third)
    assert wait_until(lambda: any(leads(worker, database) for worker in others), 10)
    assert time.monotonic() - begun < 10
    new, last = sorted(others, key=lambda worker: not leads(worker, database))
    assert wait_until(lambda: led_since(new), 5)
    assert not led_since(last)
    assert new.terminate() == 0
    assert wait_until(lambda: leads(last, database), 10)
    assert wait_until(lambda: _hosts(database) == {"working": 1, "lost": 1}, 20)


def test_a_leader_that_hangs_loses_its_lease_and_says_so_when_it_is_back(
    start_worker: StartWorker, database: Database
) -> None:
    first = start_worker()
    assert wait_until(lambda: leads(first, database), 20)
    second = start_worker()
    assert wait_until(lambda: _hosts(database) == {"working": 2}, 20)
    assert first.process is not None
    # Its process is alive, so its lease must expire.
    first.process.send_signal(signal.SIGSTOP)
    try:
        assert wait_until(lambda: leads(second, database), 10)
    finally:
        first.process.send_signal(signal.SIGCONT)
    assert wait_until(lambda: '"lost_leadership"' in first.log.read_text(), 10)
    assert leads(second, database)


def _hosts(database: Database) -> dict[str, int]:
    """How many workers are in each state."""
    found: dict[str, int] = {}
    with database.begin() as session:
        for one in list_workers(session):
            found[one.state.value] = found.get(one.state.value, 0) + 1
    return found


def test_the_row_of_a_worker_shows_the_last_run_of_its_modules(start_worker: StartWorker, database: Database) -> None:
    start_worker(worker_pools="edge, default")

    def modules() -> dict[str, str]:
        with database.begin() as session:
            rows = session.scalars(select(Worker)).all()
            return {name: run["result"] for row in rows for name, run in row.modules.items()}

    wanted = {"heartbeat", "take_over_runs", "retry_stalled_jobs", "poll_sources", "read_gauges", "remove_old"}
    assert wait_until(lambda: wanted <= modules().keys(), 20)
    assert set(modules().values()) == {"ok"}
    with database.begin() as session:
        assert session.scalars(select(Worker.pools)).one() == ["edge", "default"]
        is_fresh = session.scalar(text("SELECT heartbeat_at > clock_timestamp() - interval '10 seconds' FROM worker"))
    assert is_fresh
