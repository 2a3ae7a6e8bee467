"""A worker that cannot reach its database stops its run before another worker may start one."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ims.core.db.engine import Database
from ims.runs.models import RunStatus
from ims.runs.processes import descendants
from tests.integration.engine.conftest import MakeSite, StartWorker
from tests.support.healing import fire, runs_of
from tests.support.postgres import PostgresServer
from tests.support.workers import WorkerProcess, children_of_runs, run_processes, wait_until

pytestmark = pytest.mark.parametrize("postgres", ["18"], indirect=True)

LEASE = 6.0


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Processes that run but do not answer, as behind a network that drops all packets."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def running(make_site: MakeSite, start_worker: StartWorker, database: Database) -> tuple[WorkerProcess, int]:
    """A worker in the middle of a long run, and the run's episode."""
    make_site(work_seconds=10, rule={"attempts": 1})
    worker = start_worker(lease_seconds=LEASE)
    with database.begin() as session:
        episode, _ = fire(session, "shop")
    assert wait_until(lambda: children_of_runs(worker.settings.state_dir), 20)
    return worker, episode


def test_a_database_that_stops_answering_stops_the_run_within_its_lease(
    make_site: MakeSite, start_worker: StartWorker, database: Database, postgres: PostgresServer
) -> None:
    worker, episode = running(make_site, start_worker, database)
    assert postgres.process is not None
    backends = [process.pid for process in descendants(postgres.process.pid)]
    with frozen(postgres.process.pid, *backends):
        begun = time.monotonic()
        assert wait_until(lambda: not run_processes(worker.settings.state_dir), LEASE, every=0.05)
        assert time.monotonic() - begun < LEASE
        assert worker.is_running

    def is_lost() -> bool:
        with database.begin() as session:
            return runs_of(session, episode)[0].status == RunStatus.UNKNOWN

    assert wait_until(is_lost, 30)
    with database.begin() as session:
        (run,) = runs_of(session, episode)
        assert (run.fence, run.rc) == (2, None)


def test_a_frozen_worker_loses_its_run_to_another_which_ends_what_it_left(
    make_site: MakeSite, start_worker: StartWorker, database: Database
) -> None:
    worker, episode = running(make_site, start_worker, database)
    assert worker.process is not None
    with frozen(worker.process.pid):
        start_worker(lease_seconds=LEASE)

        def is_lost() -> bool:
            with database.begin() as session:
                return runs_of(session, episode)[0].status == RunStatus.UNKNOWN

        assert wait_until(is_lost, 30)
        assert run_processes(worker.settings.state_dir) == []
    with database.begin() as session:
        before = runs_of(session, episode)[0]
    time.sleep(3)
    with database.begin() as session:
        after = runs_of(session, episode)[0]
        assert (after.fence, after.rc, after.finished_at) == (before.fence, None, before.finished_at)
