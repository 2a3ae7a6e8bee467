"""Maintenance windows under the real worker: left alone while one is open, healed afterwards, whatever died."""

import urllib.request
from datetime import timedelta

import pytest
from sqlalchemy import delete

from ims.core.db.engine import Database
from ims.incidents.models import Incident
from ims.maintenance.models import StoredWindow
from ims.maintenance.usecases import add_window, end_window
from ims.policy.windows import MaintenanceWindow
from tests.integration.engine.conftest import MakeSite, StartWorker
from tests.support.context import ALICE, by
from tests.support.healing import fire, kinds, now, runs_of
from tests.support.workers import WorkerProcess, wait_until

pytestmark = pytest.mark.parametrize("postgres", ["18"], indirect=True)

HEALED = [
    "maintenance_began",
    "maintenance_ended",
    "rule_allowed",
    "run_started",
    "run_finished",
    "verification_passed",
]


def open_window(database: Database, seconds: float = 3600) -> None:
    begins = now()
    ends = begins + timedelta(seconds=seconds)
    with database.begin() as session:
        window = MaintenanceWindow(name="work", services=("shop",), begins=begins, ends=ends)
        add_window(by(session, ALICE, begins), window)


def test_a_window_is_waited_for_and_then_the_service_is_healed(
    make_site: MakeSite, start_worker: StartWorker, database: Database
) -> None:
    site = make_site()
    open_window(database, seconds=15)
    worker = start_worker()
    with database.begin() as session:
        episode, incident_id = fire(session, "shop")
    assert wait_until(lambda: marks(database) == ["work"], 20)
    assert wait_until(lambda: "ims_maintenance_windows_open 1.0" in statistics_of(worker), 12)
    with database.begin() as session:
        assert runs_of(session, episode) == []
    assert wait_until(lambda: is_healed(database), 40)
    assert site.is_healthy("shop")
    with database.begin() as session:
        assert kinds(session, incident_id) == HEALED
        assert session.get_one(Incident, incident_id).attention_at is None
    figures = statistics_of(worker)
    assert 'ims_healing_decisions_total{reason="maintenance"} ' in figures
    assert 'ims_maintenance_marks_total{change="ended"} ' in figures


@pytest.mark.parametrize("is_announced", [True, False])
def test_a_window_that_ends_while_no_worker_lives_is_noticed_by_the_next_one(
    make_site: MakeSite, start_worker: StartWorker, database: Database, *, is_announced: bool
) -> None:
    make_site()
    open_window(database)
    worker = start_worker()
    with database.begin() as session:
        _, incident_id = fire(session, "shop")
    assert wait_until(lambda: marks(database) == ["work"], 20)
    worker.kill()
    with database.begin() as session:
        if is_announced:
            end_window(by(session, ALICE, now()), "work")
        else:
            # As when a policy without the window was loaded: no job announces it.
            session.execute(delete(StoredWindow))
    start_worker()
    assert wait_until(lambda: is_healed(database), 40)
    with database.begin() as session:
        assert kinds(session, incident_id) == HEALED


def statistics_of(worker: WorkerProcess) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{worker.port}/metrics", timeout=3) as answer:
        text: str = answer.read().decode()
        return text


def marks(database: Database) -> list[str | None]:
    with database.begin() as session:
        return [incident.maintenance for incident in session.query(Incident)]


def is_healed(database: Database) -> bool:
    with database.begin() as session:
        return all(incident.healed_at for incident in session.query(Incident))
