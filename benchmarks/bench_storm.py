"""A storm: 10,000 distinct alerts in a minute over 100 services, and 10,000 on one, while somebody looks at the pages.

    .venv/bin/python -m benchmarks.bench_storm [--quick] [--write]

Everything runs as in production: webhook, worker and ims-web, and PostgreSQL with fsync on. Requests bring one alert
each and are due at fixed moments, whether the ones before were answered or not; each is sent again until it is taken.
"""

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine, report
from benchmarks.command import run_benchmark
from benchmarks.database import number, postgres_server, postgres_version
from benchmarks.installation import IMS, SERVICES, TOKEN, Installation, PolicyTree, install, service
from benchmarks.programs import BenchmarkFailed, running, scratch_directory, wait_for_answer
from ims.core.db.engine import Database
from ims.core.settings import load_settings
from tests.support.ledger import Compared, compare
from tests.support.pages import Reader
from tests.support.postgres import free_port
from tests.support.storm import Storm, Weather, memory, rage, repeating

ALERTS, SECONDS = 10_000, 60.0
WARM_UP = Storm("WarmUp", 2_000, tuple(map(service, range(SERVICES))), 12.0)
"""What is loaded and cached with the first requests is no growth."""
SETTLE_SECONDS = 120
MEMORY_SECONDS = 1.0
WEBHOOK, PAGES, WORKER = "webhook", "ims-web", "worker"


@dataclass
class Site:
    """The running programs by name, and a reader of the pages."""

    pids: dict[str, int]
    port: int
    reader: Reader
    installation: Installation
    database: Database
    postgresql: str

    def memory(self) -> dict[str, float]:
        """MB of each program."""
        return {name: memory([pid]) for name, pid in self.pids.items()}

    def settle(self) -> None:
        """Wait until the worker has decided about everything, for its memory counts. Raises `BenchmarkFailed`."""
        deadline = time.monotonic() + SETTLE_SECONDS
        waiting = "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'decide' AND status IN ('todo', 'doing')"
        while number(self.installation.server, self.installation.database, waiting):
            if time.monotonic() > deadline:
                raise BenchmarkFailed(f"The worker was not done {SETTLE_SECONDS} s after the storm.")
            time.sleep(0.5)


@dataclass
class Measured:
    """One storm: what came of it, and how much each program grew at most meanwhile, in MB."""

    storm: Storm
    weather: Weather
    compared: Compared
    grown: dict[str, float]

    def cells(self) -> tuple[str, ...]:
        looks = sorted(seconds for _, seconds in self.weather.looks)
        services = f"{len(self.storm.services)} services" if len(self.storm.services) > 1 else "one service"
        return (
            f"{self.storm.alerts:,} alerts on {services} in {self.weather.seconds:.0f} s",
            f"{sum(self.weather.ledger.answers.values()):,}",
            str(len(self.compared.lost)),
            str(len(self.compared.doubled)),
            f"{self.weather.p50 * 1000:.0f}",
            f"{self.weather.p99 * 1000:.0f}",
            *(f"{self.grown[name]:.0f}" for name in (WEBHOOK, PAGES, WORKER)),
            f"{len(looks)} / {looks[-1] * 1000:.0f}",
        )


HEAD = (
    "storm", "requests", "lost", "doubled", "p50 in ms", "p99 in ms", "webhook grew by MB", "ims-web", "worker",
    "looks at the list / slowest in ms",
)  # fmt: skip


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """Everything started."""
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(scratch_directory())
        server = stack.enter_context(postgres_server(directory / "postgresql"))
        port, web_port = free_port(), free_port()
        policy = PolicyTree.write(directory / "policy", url=f"http://127.0.0.1:{port}/health", mark=directory / "mark")
        installation = install(server, directory / "state", policy, webhook_port=port)
        key = directory / "state/secrets/flask_secret_key"
        key.write_text(TOKEN)
        web = {"IMS_WEB_PORT": str(web_port), "IMS_SECRET_KEY_FILE": str(key)}
        settings = load_settings(installation.environment)

        def start(name: str, command: list[str | Path], answers: str) -> int:
            log = directory / f"{name}.log"
            process = stack.enter_context(running(command, log=log, environment=installation.environment | web))
            wait_for_answer(process, answers, log)
            return process.pid

        def gunicorn(program: str, app: str) -> list[str | Path]:
            return [sys.executable, "-m", "gunicorn", "--config", f"python:ims.programs.{program}_gunicorn", app]

        pids = {
            WEBHOOK: start(WEBHOOK, gunicorn("webhook", "webhook.app:create_app()"), f"http://127.0.0.1:{port}/health"),
            PAGES: start(
                PAGES, gunicorn("web", "ims.programs.web:create_app()"), f"http://127.0.0.1:{web_port}/health"
            ),
            WORKER: start(WORKER, [IMS, "admin", "worker"], f"http://127.0.0.1:{installation.worker_port}/metrics"),
        }
        reader = Reader(f"http://127.0.0.1:{web_port}")
        reader.sign_in("admin", TOKEN)
        database = Database.of(settings)
        stack.callback(database.dispose)
        yield Site(pids, port, reader, installation, database, postgres_version(server))


def measure(here: Site, storm: Storm) -> Measured:
    """One storm. Raises `BenchmarkFailed` when the list did not answer or the database is not as it should be."""
    print(f"{storm.alerts} alerts on {len(storm.services)} services", file=sys.stderr, flush=True)
    before = here.memory()
    most = dict(before)

    def note() -> None:
        now = here.memory()
        most.update({name: max(most[name], now[name]) for name in now})

    with repeating(note, MEMORY_SECONDS):
        weather = rage(storm, here.port, TOKEN, here.reader)
        here.settle()
    note()
    compared = compare(here.database, weather.ledger)
    # Of the storms before.
    compared.faults.pop("alerts that nobody sent", None)
    if compared.faults:
        raise BenchmarkFailed(f"{storm.name}: {compared.faults}")
    if {status for status, _ in weather.looks} != {200}:
        raise BenchmarkFailed(f"{storm.name}: the list answered {sorted({status for status, _ in weather.looks})}.")
    return Measured(storm, weather, compared, {name: most[name] - before[name] for name in before})


def run(quick: bool) -> str:
    """Two storms, one after the other, and the tables."""
    share = 10 if quick else 1
    services = WARM_UP.services
    with site() as here:
        measure(here, WARM_UP)
        measured = [
            measure(here, Storm("Wide", ALERTS // share, services, SECONDS / share)),
            measure(here, Storm("Narrow", ALERTS // share, services[:1], SECONDS / share)),
        ]
        described = machine.describe(here.postgresql)
    return "\n\n".join(
        [
            f"{described}.",
            report.table(HEAD, (one.cells() for one in measured)),
            report.table(("target", "measured", "wanted", ""), (verdict.cells() for verdict in verdicts(measured))),
        ]
    )


def verdicts(measured: list[Measured]) -> list[report.Verdict]:
    """The worst of the storms against each target."""
    worst = {
        "alerts lost": (max(len(one.compared.lost) for one in measured), 0),
        "alerts doubled": (max(len(one.compared.doubled) for one in measured), 0),
        "p99 of the webhook, in seconds": (max(one.weather.p99 for one in measured), 1),
        "growth of the webhook's memory, in MB": (max(one.grown[WEBHOOK] for one in measured), 50),
    }
    return [report.Verdict(what, found, target, least=False) for what, (found, target) in worst.items()]


if __name__ == "__main__":
    sys.exit(run_benchmark("storm", "A storm of alerts: nothing lost, nothing doubled, and how long it takes.", run))
