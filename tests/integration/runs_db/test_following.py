"""`ims run log --follow` of a run that goes on, while the server comes and goes."""

import subprocess

import pytest

from ims.core.db.engine import Database
from ims.core.settings import Settings
from ims.programs.web import create_app
from ims.runs.events import RunEvent
from ims.runs.recap import HostRecap, Outcome, RunResult
from ims.runs.usecases import Claim, claim_run, finish_playbook, store_events
from tests.integration.runs_db.conftest import Queued
from tests.support.cast import add_people, add_token
from tests.support.command import IMS, environment, typed
from tests.support.healing import now
from tests.support.postgres import free_port
from tests.support.serving import serving


@pytest.fixture
def claim(database: Database, queued: Queued) -> Claim:
    """A run that has begun."""
    with database.begin() as session:
        claimed = claim_run(session, queued.run_id, "worker-1", 60, now())
    assert claimed is not None
    return claimed


def finished(database: Database, claim: Claim) -> None:
    failed = RunResult(Outcome.FAILED, "Task 'Start' failed on shop.", rc=2, recap={"shop": HostRecap(failures=1)})
    with database.begin() as session:
        finish_playbook(session, claim, failed, now())


def printed(database: Database, claim: Claim, counter: int) -> None:
    with database.begin() as session:
        store_events(session, claim, [RunEvent(counter=counter, at=now(), kind="verbose", stdout=f"line {counter}")])


def test_it_goes_on_until_the_run_has_ended_though_the_server_is_away_meanwhile(
    settings: Settings, database: Database, claim: Claim
) -> None:
    with database.begin() as session:
        add_people(session, now())
        token = add_token(session, "victor", now())
    port, log = free_port(), ("run", "log", f"R-{claim.number}")
    given = environment(IMS_URL=f"http://127.0.0.1:{port}", IMS_TOKEN=token)
    printed(database, claim, 1)
    with subprocess.Popen(
        [IMS, *log, "--follow"], env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        lines = (line.rstrip() for line in process.stdout)
        with serving(create_app(settings, database), port):
            assert next(lines) == "line 1"
            printed(database, claim, 2)
            assert next(lines) == "line 2"
        assert typed(given, *log).returncode == 5, "who does not follow does not wait"
        printed(database, claim, 3)
        with serving(create_app(settings, database), port):
            assert next(lines) == "line 3"
            printed(database, claim, 4)
            finished(database, claim)
            assert list(lines) == ["line 4"]
        assert (process.wait(30), process.stderr.read()) == (0, "")
