"""Runs wait in the queue of their pool, for the workers that serve it."""

import urllib.request

import pytest
from sqlalchemy import select, text

from ims.core.db.engine import Database
from ims.engine import sweep
from ims.healing.decide import decide
from ims.runs.models import Run, RunStatus
from ims.workers.models import Worker
from tests.integration.engine.conftest import MakeSite, StartWorker
from tests.integration.engine.test_worker import begin, settle
from tests.support.healing import now, runs_of
from tests.support.workers import WorkerProcess, wait_until

pytestmark = pytest.mark.parametrize("postgres", ["18"], indirect=True)

QUEUES = text("SELECT queue_name FROM procrastinate_jobs WHERE task_name = 'execute_run' AND status = 'todo'")


def waiting_in(database: Database) -> list[str]:
    """The queues in which runs wait, one for each."""
    with database.begin() as session:
        return list(session.scalars(QUEUES))


def decided(database: Database) -> int:
    """An episode with a decision, and nothing else."""
    episode, _ = begin(database)
    with database.begin() as session:
        session.execute(text("DELETE FROM procrastinate_jobs"))
        decide(session, [episode], now())
    return episode


def metrics(worker: WorkerProcess) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{worker.port}/metrics", timeout=3) as answer:
        return str(answer.read().decode())


def test_a_run_waits_for_the_pool_that_its_service_had_when_it_was_decided(
    make_site: MakeSite, database: Database
) -> None:
    site = make_site(host_vars={"worker_pool": "edge"})
    decided(database)
    assert waiting_in(database) == ["runs:edge"]
    with database.begin() as session:
        session.execute(text("DELETE FROM procrastinate_jobs"))
        session.execute(text("UPDATE run SET queued_at = queued_at - interval '1 minute'"))
        assert sweep.redefer_forgotten_runs(session, now()) == 1
    assert waiting_in(database) == ["runs:edge"]
    # A run keeps the pool of its decision; later decisions follow the new policy.
    site.host_vars = {}
    site.activate(database)
    with database.begin() as session:
        session.execute(text("DELETE FROM procrastinate_jobs"))
        assert sweep.redefer_forgotten_runs(session, now()) == 1
    assert waiting_in(database) == ["runs:edge"]


def test_a_run_of_a_service_without_a_pool_waits_for_the_default_one(make_site: MakeSite, database: Database) -> None:
    make_site()
    decided(database)
    assert waiting_in(database) == ["runs:default"]


def test_only_a_worker_of_the_pool_takes_the_run_and_a_metric_shows_that_it_waits(
    make_site: MakeSite, start_worker: StartWorker, database: Database
) -> None:
    make_site(host_vars={"worker_pool": "edge"})
    other = start_worker()
    episode, incident_id = begin(database)
    depth = 'ims_queue_depth{queue="runs:edge"} 1.0'
    assert wait_until(lambda: other.log.read_text().count('"pool_has_no_worker"') == 1, 30)
    assert wait_until(lambda: depth in metrics(other), 10)
    assert 'ims_queue_workers{queue="runs:edge"} 0.0' in metrics(other)
    assert 'ims_queue_workers{queue="runs:default"} 1.0' in metrics(other)
    with database.begin() as session:
        assert [run.status for run in runs_of(session, episode)] == [RunStatus.QUEUED]
    own = start_worker(worker_pools="edge")
    (run,), _ = settle(database, episode, incident_id)
    assert run.status == RunStatus.SUCCEEDED
    with database.begin() as session:
        claimer = session.scalars(select(Worker).join(Run, Run.claimed_by == Worker.id)).one()
        assert own.process is not None
        assert (claimer.pid, claimer.pools) == (own.process.pid, ["edge"])
    assert wait_until(lambda: 'ims_queue_workers{queue="runs:edge"} 1.0' in metrics(other), 10)
    assert 'ims_queue_depth{queue="runs:edge"} 0.0' in metrics(other)
    assert other.log.read_text().count('"pool_has_no_worker"') == 1


def test_runs_that_wait_since_before_there_were_pools_are_done(
    make_site: MakeSite, start_worker: StartWorker, database: Database
) -> None:
    make_site()
    episode = decided(database)
    with database.begin() as session:
        session.execute(text("UPDATE procrastinate_jobs SET queue_name = 'runs'"))
        incident_id = runs_of(session, episode)[0].incident_id
    start_worker(worker_pools="edge")
    start_worker()
    (run,), _ = settle(database, episode, incident_id)
    assert run.status == RunStatus.SUCCEEDED
    with database.begin() as session:
        claimer = session.scalars(select(Worker).join(Run, Run.claimed_by == Worker.id)).one()
        assert claimer.pools == ["default"]
