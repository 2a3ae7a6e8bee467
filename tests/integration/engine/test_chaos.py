"""Killing everything in the middle of runs: never two runs at once on a target, and no incident is left in the dark.

Two real workers, a real PostgreSQL with its durability on, real playbooks. In each round services break, and while they
are being healed one thing is killed with SIGKILL: a worker, the child of a run, ansible-playbook, or the postmaster.
`IMS_CHAOS_ROUNDS=25` makes it long, `IMS_CHAOS_SEED` repeats what happened.
"""

import os
import random
import shutil
import signal
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from ims.core.db.engine import Database
from ims.core.db.migrate import migrate
from ims.core.settings import Settings
from ims.incidents.models import Incident
from ims.runs.models import ACTIVE, Run, RunOutcome
from tests.support.healing import Site, fire, resolve, runs_of, timeline_text
from tests.support.postgres import WHEEL_TREE, PostgresServer
from tests.support.workers import WorkerProcess, children_of_runs, playbooks_of_runs, run_processes, wait_until

ROUNDS = int(os.environ.get("IMS_CHAOS_ROUNDS", "4"))
SEED = int(os.environ.get("IMS_CHAOS_SEED", str(time.time_ns() % 10**6)))
LEASE = float(os.environ.get("IMS_CHAOS_LEASE", "6"))
SETTLED_WITHIN = 60 + 2 * LEASE
SERVICES = ("shop", "search", "mail")
VICTIMS = ("worker", "child", "playbook", "postmaster")


@dataclass
class Scene:
    server: PostgresServer
    settings: Settings
    site: Site
    workers: list[WorkerProcess]
    chance: random.Random
    closing: threading.Event = field(default_factory=threading.Event)

    def supervise(self) -> None:
        """Start dead workers again after a second, as a supervisor does."""
        while not self.closing.wait(0.2):
            for worker in self.workers:
                if not worker.is_running and not self.closing.wait(1):
                    worker.start()

    def kill(self, victim: str) -> bool:
        """Kill one thing; false if there was none."""
        if victim == "postmaster":
            self.server.kill()
            time.sleep(self.chance.uniform(0.2, 3))
            self.server.start_again()
            return True
        if victim == "worker":
            self._busy_worker().kill()
            return True
        find = children_of_runs if victim == "child" else playbooks_of_runs
        found = find(self.settings.state_dir)
        return bool(found) and self.chance.choice(found).send(signal.SIGKILL)

    def _busy_worker(self) -> WorkerProcess:
        """A worker that is running a playbook, if any is."""
        parents = {process.parent for process in children_of_runs(self.settings.state_dir)}
        running = [worker for worker in self.workers if worker.is_running]
        busy = [worker for worker in running if worker.process and worker.process.pid in parents]
        return self.chance.choice(busy or running)


@pytest.fixture
def scene() -> Iterator[Scene]:
    directory = Path(tempfile.mkdtemp(prefix="ims-chaos-"))
    directory.chmod(0o755)
    server = PostgresServer(WHEEL_TREE, directory / "postgres")
    server.directory.mkdir()
    state, site = directory / "state", Site(
        directory / "site", SERVICES, work_seconds=0.8, rule={"attempts": 8, "verify": {
            "green_for": 0.4, "within": 5, "interval": 0.1}},
    )  # fmt: skip
    state.mkdir()
    site.directory.mkdir()
    workers: list[WorkerProcess] = []
    scene = None
    try:
        server.create()
        server.start()
        server.create_database()
        settings = server.settings(state, lease_seconds=LEASE)
        migrate(settings)
        site.start()
        workers += [WorkerProcess(settings, directory, f"worker-{number}") for number in (1, 2)]
        scene = Scene(server, settings, site, workers, random.Random(SEED))  # noqa: S311 - chance, not secrecy
        yield scene
    finally:
        if scene is not None:
            scene.closing.set()
        for worker in workers:
            worker.stop()
        site.stop()
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


@dataclass
class Round:
    victim: str
    episodes: dict[int, UUID] = field(default_factory=dict)
    seconds: float = 0.0


@pytest.mark.timeout(ROUNDS * 120 + 60)
def test_whatever_is_killed_no_two_runs_work_at_once_and_no_incident_is_stuck(scene: Scene) -> None:
    print(f"IMS_CHAOS_SEED={SEED}")
    database = Database.of(scene.settings)
    scene.site.activate(database)
    for worker in scene.workers:
        worker.start()
    threading.Thread(target=scene.supervise, daemon=True).start()
    victims = [VICTIMS[number % len(VICTIMS)] for number in range(ROUNDS)]
    rounds = [play(scene, database, victim) for victim in victims]
    scene.closing.set()
    for worker in scene.workers:
        if worker.is_running:
            assert worker.terminate() == 0
    report(database, rounds)
    assert run_processes(scene.settings.state_dir) == []
    check_nothing_is_left(database)
    database.dispose()


def play(scene: Scene, database: Database, victim: str) -> Round:
    """Break services, kill something while they are healed, wait until each incident is settled."""
    this = Round(victim)
    broken = scene.chance.sample(SERVICES, 2)
    with database.begin() as session:
        for service in broken:
            scene.site.break_service(service)
            episode, incident = fire(session, service)
            this.episodes[episode] = incident
    wait_until(lambda: children_of_runs(scene.settings.state_dir), 20, every=0.05)
    time.sleep(scene.chance.uniform(0, 4))
    begun = time.monotonic()
    scene.kill(victim)
    settled = wait_until(lambda: is_settled(scene.settings, this), SETTLED_WITHIN, every=0.25)
    this.seconds = time.monotonic() - begun
    with database.begin() as session:
        timelines = "\n\n".join(timeline_text(session, incident) for incident in this.episodes.values())
        assert settled, f"{victim}: an incident is stuck\n{timelines}"
        for episode, incident_id in this.episodes.items():
            check_incident(session, episode, session.get_one(Incident, incident_id))
            resolve(session, episode)
    for service in SERVICES:
        work = scene.site.work_of(service)
        assert len(work) == len(set(work)), f"{victim}: two runs worked on {service} at once: {work}\n{timelines}"
        scene.site.mend_service(service)
    return this


def is_settled(settings: Settings, this: Round) -> bool:
    """Whether each incident of the round is healed or needs attention, and no run is under way."""
    database = Database(Database.of(settings).url, pool_size=1)
    try:
        with database.begin() as session:
            incidents = session.scalars(select(Incident).where(Incident.id.in_(this.episodes.values()))).all()
            open_runs = session.scalar(
                select(func.count()).select_from(Run).where(
                    Run.episode_id.in_(this.episodes),
                    Run.outcome.in_(ACTIVE) | ((Run.outcome == RunOutcome.UNKNOWN) & Run.ended_at.is_(None)),
                )
            )  # fmt: skip
        return open_runs == 0 and all(incident.healed_at or incident.attention_at for incident in incidents)
    finally:
        database.dispose()


def check_incident(session: Session, episode: int, incident: Incident) -> None:
    """Healed, or escalated with a reason; and its timeline matches its runs."""
    runs = runs_of(session, episode)
    assert incident.healed_at or (incident.attention_at and incident.attention_reason)
    assert [run.attempt for run in runs] == list(range(1, len(runs) + 1))
    assert sum(run.outcome == RunOutcome.HEALED for run in runs) <= 1
    assert all(run.reason for run in runs)


def report(database: Database, rounds: list[Round]) -> None:
    """What happened, for a person who runs this by hand."""
    by_victim = defaultdict(list)
    for this in rounds:
        by_victim[this.victim].append(this.seconds)
    for victim, seconds in by_victim.items():
        print(f"{victim:<11} {len(seconds)} kills, settled after {statistics.median(seconds):.1f} s (median), "
              f"{max(seconds):.1f} s (longest)")  # fmt: skip
    with database.begin() as session:
        counts = session.execute(select(Run.outcome, func.count()).group_by(Run.outcome)).all()
        healed = session.scalar(select(func.count()).select_from(Incident).where(Incident.healed_at.is_not(None)))
        total = session.scalar(select(func.count()).select_from(Incident))
    print(f"incidents: {total}, healed: {healed}; runs: {dict(counts)}")  # type: ignore[arg-type]


def check_nothing_is_left(database: Database) -> None:
    with database.begin() as session:
        active = session.scalars(select(Run.outcome).where(Run.outcome.in_(ACTIVE))).all()
        assert active == []
        doing = session.scalar(text("SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'"))
        failed = session.scalar(text("SELECT count(*) FROM procrastinate_jobs WHERE status = 'failed'"))
        assert (doing, failed) == (0, 0)
