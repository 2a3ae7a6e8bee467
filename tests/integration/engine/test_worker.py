"""The real worker: what it heals, what it reports if it cannot, how it stops, and its metrics."""

import time
import urllib.error
import urllib.request
from uuid import UUID

import pytest
from sqlalchemy import select, text

from ims.core.db.engine import Database
from ims.core.queue import Job, defer
from ims.healing.decide import decide
from ims.incidents.models import Incident
from ims.runs.models import Run, RunEvent, RunOutcome, RunStatus, Verification
from ims.runs.processes import is_alive
from ims.runs.spec import Kind, RunSpec
from tests.integration.engine.conftest import MakeSite, StartWorker
from tests.support.healing import FAILING, USELESS, fire, kinds, now, resolve, runs_of, timeline_text
from tests.support.postgres import PostgresServer
from tests.support.workers import WorkerProcess, children_of_runs, run_processes, wait_until, warm_runners_of

# What depends on the version of PostgreSQL is tested with the statements themselves; here the program is.
pytestmark = pytest.mark.parametrize("postgres", ["18"], indirect=True)

QUICK = {"attempts": 2, "verify": {"green_for": 0.2, "within": 1, "interval": 0.1}}


def begin(database: Database, service: str = "shop") -> tuple[int, UUID]:
    with database.begin() as session:
        return fire(session, service)


def settle(database: Database, episode: int, incident_id: UUID, timeout: float = 40) -> tuple[list[Run], Incident]:
    """Wait until automation has healed the incident or the incident needs attention."""

    def is_settled() -> bool:
        with database.begin() as session:
            incident = session.get_one(Incident, incident_id)
            return bool(incident.healed_at or incident.attention_at)

    settled = wait_until(is_settled, timeout)
    with database.begin() as session:
        assert settled, timeline_text(session, incident_id)
        return runs_of(session, episode), session.get_one(Incident, incident_id)


def ask(worker: WorkerProcess, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{worker.port}{path}", timeout=3) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except urllib.error.URLError:
        return 0, ""


def test_a_killed_service_is_healed_verified_and_recorded(
    make_site: MakeSite, start_worker: StartWorker, database: Database
) -> None:
    site = make_site()
    worker = start_worker()
    (run,), incident = settle(database, *begin(database))
    assert site.is_healthy("shop")
    assert (run.outcome, run.rc, run.recap["shop"]["failures"]) == (RunOutcome.HEALED, 0, 0)
    with database.begin() as session:
        verification = session.get_one(Verification, run.id)
    assert (verification.status, verification.decided_by) == ("passed", "probe")
    assert incident.healed_at == verification.healthy_since
    assert (verification.probes or 0) > 1
    with database.begin() as session:
        assert kinds(session, incident.id) == ["rule_allowed", "run_started", "run_finished", "verification_passed"]
        printed = session.scalars(select(RunEvent.stdout).filter_by(run_id=run.id)).all()
        assert any("Start the service" in line for line in printed)
    assert wait_until(lambda: 'ims_runs_total{outcome="healed"} 1.0' in ask(worker, "/metrics")[1], 5)
    exported = (
        'ims_healing_decisions_total{reason="allowed"} 1.0',
        'ims_queue_depth{queue="runs:default"}',
        'ims_queue_depth{queue="fast"}',
    )
    for line in exported:
        assert wait_until(lambda line=line: line in ask(worker, "/metrics")[1], 10), line
    assert [ask(worker, path)[0] for path in ("/health", "/health/ready", "/nothing")] == [200, 200, 404]
    assert worker.terminate() == 0
    assert run_processes(worker.settings.state_dir) == []
    assert list((worker.settings.state_dir / "runs").iterdir()) == []


@pytest.mark.parametrize(
    ("playbook", "outcome", "said"),
    [(USELESS, "ineffective", "HTTP 503."), (FAILING, "failed", "It does not work.")],
)
def test_an_ineffective_rule_is_tried_again_and_then_the_incident_needs_attention(
    make_site: MakeSite, start_worker: StartWorker, database: Database, playbook: str, outcome: str, said: str
) -> None:
    make_site(playbook=playbook, rule=QUICK)
    start_worker()
    runs, incident = settle(database, *begin(database))
    assert [run.outcome for run in runs] == [outcome, outcome]
    assert all(said in (run.reason or "") for run in runs)
    assert incident.healed_at is None
    assert "2 of 2 attempts" in (incident.attention_reason or "")
    with database.begin() as session:
        assert kinds(session, incident.id)[-2:] == ["rule_denied", "automation_gave_up"]


def test_a_service_without_a_url_is_healed_when_its_alert_resolves(
    make_site: MakeSite, start_worker: StartWorker, database: Database
) -> None:
    make_site(host_vars={"url": None})
    start_worker()
    episode, incident_id = begin(database)

    def is_verifying() -> bool:
        with database.begin() as session:
            return [run.outcome for run in runs_of(session, episode)] == [RunOutcome.VERIFYING]

    assert wait_until(is_verifying, 30)
    with database.begin() as session:
        resolve(session, episode)
    (run,), _ = settle(database, episode, incident_id)
    assert (run.outcome, run.reason) == (RunOutcome.HEALED, "The alert was resolved.")


def test_a_run_uses_a_warm_runner_and_a_new_policy_gets_new_ones(
    make_site: MakeSite, start_worker: StartWorker, database: Database
) -> None:
    site = make_site()
    worker = start_worker(warm_runners=1)
    runs = worker.settings.state_dir / "runs"

    def is_ready() -> bool:
        return "ims_warm_runners 1.0" in ask(worker, "/metrics")[1]

    assert wait_until(is_ready, 30)
    (first,) = warm_runners_of(runs.parent)
    settle(database, *begin(database))
    assert not is_alive(first.mark())
    assert wait_until(lambda: 'ims_run_children_total{child="warm"} 1.0' in ask(worker, "/metrics")[1], 5)
    assert wait_until(is_ready, 30)
    (second,) = warm_runners_of(runs.parent)
    site.rule = {"timeout": 50}
    site.activate(database)
    assert wait_until(lambda: not is_alive(second.mark()), 30)
    assert wait_until(is_ready, 30)
    assert worker.terminate() == 0
    assert warm_runners_of(runs.parent) == []
    assert list(runs.iterdir()) == []


def test_a_stopped_worker_hands_its_run_over_and_leaves_nothing_running(
    make_site: MakeSite, start_worker: StartWorker, database: Database
) -> None:
    make_site(work_seconds=4)
    worker = start_worker()
    episode, incident_id = begin(database)
    assert wait_until(lambda: children_of_runs(worker.settings.state_dir), 20)
    begun = time.monotonic()
    assert worker.terminate(timeout=15) == 0
    assert run_processes(worker.settings.state_dir) == []
    assert time.monotonic() - begun < 15
    with database.begin() as session:
        (run,) = runs_of(session, episode)
        assert (run.status, run.reason) == (RunStatus.CANCELLED, "The worker was stopped in the middle of the run.")
        assert session.scalar(text("SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'")) == 0
    start_worker()
    runs, _ = settle(database, episode, incident_id, timeout=60)
    assert [run.outcome for run in runs] == [RunOutcome.CANCELLED, RunOutcome.HEALED]


KILLS_ITS_WORKER = """
- name: Restart
  hosts: services
  gather_facts: false
  tasks:
    - name: Restart the service
      ansible.builtin.shell:
        cmd: |
          echo restarted >> {{ journal }}
          pid=$PPID
          until [ $(cut -d' ' -f6 /proc/$pid/stat) = $pid ]; do pid=$(cut -d' ' -f4 /proc/$pid/stat); done
          kill -9 $pid
          sleep 5
"""


@pytest.mark.parametrize(("safe_to_repeat", "times"), [(False, 1), (True, 2)])
def test_a_command_of_which_nobody_saw_the_end_is_repeated_only_if_that_is_safe(
    make_site: MakeSite, start_worker: StartWorker, database: Database, safe_to_repeat: bool, times: int
) -> None:
    site = make_site(playbook=KILLS_ITS_WORKER, rule={**QUICK, "safe_to_repeat": safe_to_repeat})
    start_worker()
    runs, incident = settle(database, *begin(database))
    assert [(run.outcome, run.cut_short) for run in runs] == [(RunOutcome.UNKNOWN, True)] * times
    assert (site.directory / "shop.journal").read_text() == "restarted\n" * times
    assert incident.attention_at is not None


def test_a_run_that_waits_without_a_job_gets_one(
    make_site: MakeSite, start_worker: StartWorker, database: Database
) -> None:
    make_site()
    episode, incident_id = begin(database)
    with database.begin() as session:
        decide(session, [episode], now())
        session.execute(text("DELETE FROM procrastinate_jobs"))
        session.execute(text("UPDATE run SET queued_at = queued_at - interval '1 minute'"))
    start_worker()
    settle(database, episode, incident_id)


def test_an_open_episode_without_a_decision_gets_one(
    make_site: MakeSite, start_worker: StartWorker, database: Database
) -> None:
    make_site()
    episode, incident_id = begin(database)
    with database.begin() as session:
        session.execute(text("DELETE FROM procrastinate_jobs"))
        session.execute(text("UPDATE episode SET opened_at = opened_at - interval '1 minute'"))
    start_worker()
    settle(database, episode, incident_id, timeout=60)


def test_jobs_of_a_worker_without_heartbeats_go_to_another(
    make_site: MakeSite, start_worker: StartWorker, database: Database
) -> None:
    make_site()
    episode, incident_id = begin(database)
    with database.begin() as session:
        silent = session.scalar(
            text("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 minute') RETURNING id")
        )
        session.execute(text("UPDATE procrastinate_jobs SET status = 'doing', worker_id = :id"), {"id": silent})
    start_worker()
    settle(database, episode, incident_id, timeout=60)


def test_an_alert_that_is_over_before_its_run_begins_stops_it(
    make_site: MakeSite, start_worker: StartWorker, database: Database
) -> None:
    make_site()
    episode, incident_id = begin(database)
    with database.begin() as session:
        session.execute(text("DELETE FROM procrastinate_jobs"))
        session.add(
            Run(
                incident_id=incident_id, episode_id=episode, rule="restart", playbook="playbooks/heal/restart.yml",
                target="shop", revision=session.scalar(text("SELECT digest FROM policy_snapshot")), queued_at=now(),
                spec=RunSpec(kind=Kind.HEAL, playbook="playbooks/heal/restart.yml", target="shop", timeout=60).stored(),
            )
        )  # fmt: skip
        session.flush()
        resolve(session, episode)
        defer(session, Job.EXECUTE_RUN, run_id=str(runs_of(session, episode)[0].id))
    start_worker()

    def is_cancelled() -> bool:
        with database.begin() as session:
            return runs_of(session, episode)[0].status == RunStatus.CANCELLED

    assert wait_until(is_cancelled, 20)


def test_a_taken_port_is_one_clear_sentence(start_worker: StartWorker, database: Database) -> None:
    first = start_worker()
    assert wait_until(lambda: ask(first, "/health")[0] == 200, 20)
    second = start_worker()
    second.stop()
    second.port = first.port
    second.start()
    assert second.process is not None
    assert second.process.wait(20) == 1
    assert f"cannot listen on 127.0.0.1:{first.port}" in second.log.read_text()


def test_a_worker_waits_for_a_database_that_is_away_and_stops_without_it(
    make_site: MakeSite, start_worker: StartWorker, database: Database, postgres: PostgresServer
) -> None:
    make_site()
    database.dispose()
    postgres.stop()
    try:
        worker = start_worker()
        assert wait_until(lambda: ask(worker, "/health")[0] == 200, 20)
        assert ask(worker, "/health/ready")[0] == 503
        time.sleep(2)
        assert worker.is_running
    finally:
        postgres.start("fsync=off")
    assert wait_until(lambda: ask(worker, "/health/ready")[0] == 200, 20)
    settle(database, *begin(database))
    database.dispose()
    postgres.stop()
    try:
        assert worker.terminate(timeout=25) == 0
    finally:
        postgres.start("fsync=off")
