"""Killing everything under load: what was answered with 2xx is in the database, and nothing is there twice.

A real PostgreSQL with its durability on, the webhook's four processes, a real worker, and senders that come again as
Alertmanager does. In each round one or two of them are killed with SIGKILL while requests are on their way.
`IMS_CHAOS_ROUNDS=25` makes it long, `IMS_CHAOS_SEED` repeats the choices, not the moments.
"""

import json
import os
import random
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ims.accounts.models import ApiToken
from ims.accounts.passwords import hash_token
from ims.core.db.engine import Database
from ims.core.db.migrate import migrate
from ims.core.settings import Settings
from tests.integration.webhook.conftest import TOKEN, Served, serve, stop
from tests.support.ledger import Ledger, compare
from tests.support.notifications import NOW, SOURCE, add_source, alertmanager_alert, alertmanager_body
from tests.support.postgres import WHEEL_TREE, PostgresServer, free_port
from tests.support.senders import Sender
from tests.support.workers import WorkerProcess

ROUNDS = int(os.environ.get("IMS_CHAOS_ROUNDS", "4"))
SEED = int(os.environ.get("IMS_CHAOS_SEED", str(time.time_ns() % 10**6)))
SENDERS = 8
NAMES = 12
"""Alerts of one name belong to one incident: the senders meet there."""
VICTIMS = ("webhook", "postmaster", "process", "worker")
RESOLVED_AT = "2026-03-01T12:05:00Z"


@dataclass
class Scene:
    """Everything that may be killed."""

    server: PostgresServer
    settings: Settings
    directory: Path
    worker: WorkerProcess
    chance: random.Random
    port: int = field(default_factory=free_port)
    served: Served | None = None
    closing: threading.Event = field(default_factory=threading.Event)
    killed: Counter[str] = field(default_factory=Counter)

    def start(self) -> None:
        self.served = serve(self.settings, self.directory, self.port)
        self.worker.start()

    def supervise(self) -> None:
        """Start what is dead again after a moment, as a supervisor does."""
        while not self.closing.wait(0.2):
            if self.served is not None and self.served.process.poll() is not None and not self.closing.wait(0.5):
                self.served = serve(self.settings, self.directory, self.port)
            if not self.worker.is_running and not self.closing.wait(0.5):
                self.worker.start()

    def kill(self, victim: str) -> None:
        served = self.served
        if victim == "postmaster":
            self.server.kill()
            time.sleep(self.chance.uniform(0.1, 1.5))
            self.server.start_again()
        elif victim == "worker" and self.worker.is_running:
            self.worker.kill()
        elif victim == "webhook" and served is not None:
            served.kill()
        elif victim == "process" and served is not None and served.process.poll() is None:
            served.kill(self.chance.choice)
        else:
            return
        self.killed[victim] += 1

    def stop(self) -> None:
        self.closing.set()
        self.worker.stop()
        if self.served is not None:
            stop(self.served)


@pytest.fixture
def scene() -> Iterator[Scene]:
    # Not below pytest's own directory: PostgreSQL runs as another account there if this one is root.
    directory = Path(tempfile.mkdtemp(prefix="ims-crash-"))
    directory.chmod(0o755)
    server = PostgresServer(WHEEL_TREE, directory / "postgres")
    server.directory.mkdir()
    scene = None
    try:
        server.create()
        server.start()
        server.create_database()
        settings = server.settings(directory / "state")
        settings.state_dir.mkdir()
        migrate(settings)
        # Each with a directory of its own: a start writes the file of the password there.
        (directory / "worker").mkdir()
        worker = WorkerProcess(settings, directory / "worker")
        scene = Scene(server, settings, directory, worker, random.Random(SEED))  # noqa: S311 - chance, not secrecy
        scene.start()
        yield scene
    finally:
        if scene is not None:
            scene.stop()
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


@dataclass
class Load:
    """One sender's alerts: new ones, repeats, and resolves; sent again and again, or given up at the first failure."""

    number: int
    sender: Sender
    chance: random.Random
    closing: threading.Event
    ledger: Ledger = field(default_factory=Ledger)
    firing: list[list[dict[str, Any]]] = field(default_factory=list)
    count: int = 0

    def run(self) -> Ledger:
        while not self.closing.is_set():
            kind = self.chance.random()
            if kind < 0.6 or not self.firing:
                self.fire()
            elif kind < 0.8:
                self.send(self.chance.choice(self.firing), is_patient=self.chance.random() < 0.5)
            else:
                self.resolve(self.firing.pop(self.chance.randrange(len(self.firing))))
        self.sender.close()
        return self.ledger

    def fire(self) -> None:
        batch = [self.new_alert() for _ in range(self.chance.choice((1, 1, 1, 4, 30)))]
        if self.send(batch, is_patient=self.chance.random() < 0.8):
            self.firing.append(batch)

    def resolve(self, batch: list[dict[str, Any]]) -> None:
        self.send([{**alert, "status": "resolved", "endsAt": RESOLVED_AT} for alert in batch], is_patient=True)

    def new_alert(self) -> dict[str, Any]:
        self.count += 1
        name = f"Crash{self.chance.randrange(NAMES)}"
        return alertmanager_alert(name, instance=f"host-{self.number}-{self.count}:9100")

    def send(self, alerts: list[dict[str, Any]], *, is_patient: bool) -> bool:
        """Whether it was accepted; a patient sender repeats it until it is."""
        body = json.dumps(alertmanager_body(*alerts)).encode()
        fingerprints = [alert["fingerprint"] for alert in alerts]
        while True:
            status = self.sender.post(body)
            self.ledger.note(fingerprints, status, is_resolve=alerts[0]["status"] == "resolved")
            if status == 202 or not is_patient:
                return status == 202
            time.sleep(0.05)


@pytest.mark.timeout(ROUNDS * 30 + 90)
def test_whatever_is_killed_nothing_that_was_taken_is_lost_and_nothing_is_there_twice(scene: Scene) -> None:
    print(f"IMS_CHAOS_SEED={SEED}")
    database = Database.of(scene.settings)
    with database.begin() as session:
        add_source(session)
        session.add(ApiToken(hash=hash_token(TOKEN), source=SOURCE, scopes=["alerts:write"], created_at=NOW))
    supervisor = threading.Thread(target=scene.supervise, daemon=True)
    supervisor.start()
    enough = threading.Event()
    loads = [
        Load(number, Sender(scene.port, TOKEN), random.Random(SEED + number), enough)  # noqa: S311
        for number in range(SENDERS)
    ]
    ledger = Ledger()
    with ThreadPoolExecutor(SENDERS) as pool:
        sending = [pool.submit(load.run) for load in loads]
        try:
            play(scene)
        finally:
            # A sender with a request under way repeats it until it is accepted: everything works again.
            enough.set()
        for one in sending:
            ledger.add(one.result())
    scene.closing.set()
    supervisor.join(60)
    compared = compare(database, ledger)
    database.dispose()
    report(scene, ledger, len(compared.lost), len(compared.doubled))
    assert compared.lost == []
    assert compared.doubled == []
    assert compared.faults == {}
    # In every case a sender gets a status code that means retry, or no response.
    assert set(ledger.answers) <= {"202", "503", "no answer"}
    assert ledger.answers["202"] > ROUNDS


def play(scene: Scene) -> None:
    for number in range(ROUNDS):
        time.sleep(scene.chance.uniform(1, 3))
        scene.kill(VICTIMS[number % len(VICTIMS)])
        if scene.chance.random() < 0.3:
            # While the first one is still on its way up.
            scene.kill(scene.chance.choice(VICTIMS))
    time.sleep(1)


def report(scene: Scene, ledger: Ledger, lost: int, doubled: int) -> None:
    """What happened, for a person who runs this by hand."""
    print(f"killed {sum(scene.killed.values())}: {dict(scene.killed)}")
    print(f"requests {sum(ledger.answers.values())}: {dict(ledger.answers)}")
    taken = sum(known.taken for known in ledger.alerts.values())
    print(f"alerts {len(ledger.alerts)}, notifications taken {taken}, lost {lost}, doubled {doubled}")
