"""The command `ims` as a whole process: this build against the one before it was a client, in turns.

    .venv/bin/python -m benchmarks.bench_command [--quick] [--write]

Both ask for the same incidents: this build a served ims-web, the one before the database itself. The build before is
laid out from this clone's history and runs with the libraries of this one.
"""

import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import machine, report
from benchmarks.command import run_benchmark
from benchmarks.database import postgres_server, postgres_version
from benchmarks.installation import COMMAND_TOKEN, TOKEN, Installation, PolicyTree, install
from benchmarks.programs import ROOT, BenchmarkFailed, cached_environment, running, scratch_directory, wait_for_answer
from tests.support.postgres import free_port

BEFORE = "f5c3f19"
OLD_COMMAND = "import sys; from ims.cli import main; sys.exit(main())"
NEW_COMMAND = "import sys; from ims.cli.main import main; sys.exit(main())"
CASES = {
    "ims --help": (["--help"], 0.25),
    "ims incident list": (["incident", "list"], 0.25),
    "ims incident --help": (["incident", "--help"], 0.25),
}
"""What is typed, and the target: this build's time over that of the one before."""


@dataclass(frozen=True, slots=True)
class Build:
    """One build: the directory of its code, its command and its environment."""

    root: Path
    start: str
    environment: Mapping[str, str]
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def run(self, name: str, arguments: list[str]) -> None:
        """Run one command and keep how long it took. Raises `BenchmarkFailed`."""
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", self.start, *arguments], cwd=self.root, env=dict(self.environment), check=False,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        took = time.perf_counter() - began
        if done.returncode:
            raise BenchmarkFailed(f"{name} in {self.root} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        self.seconds.setdefault(name, []).append(took)

    def median(self, name: str) -> float:
        return statistics.median(self.seconds[name])


def lay_out(commit: str, directory: Path, *parts: str) -> Path:
    """Those folders of a commit. Raises `BenchmarkFailed` when this clone does not have it."""
    directory.mkdir()
    archive = subprocess.run(["git", "archive", commit, *parts], cwd=ROOT, check=False, capture_output=True)
    if archive.returncode:
        raise BenchmarkFailed(f"this clone has no commit {commit}: fetch its whole history.")
    subprocess.run(["tar", "-xf", "-", "-C", directory], input=archive.stdout, check=True)
    return directory


def of_before() -> str:
    """Where the library is that only the build before needs."""
    cached = cached_environment("before", "argcomplete==3.6.3")
    (packages,) = cached.glob("lib/python*/site-packages")
    return str(packages)


@contextlib.contextmanager
def builds() -> Iterator[tuple[Build, Build, str]]:
    """Both builds, over one database."""
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(scratch_directory())
        server = stack.enter_context(postgres_server(directory / "postgresql"))
        port = free_port()
        policy = PolicyTree.write(
            directory / "policy", url=f"http://127.0.0.1:{port}/health", mark=directory / "first-task"
        )
        installation = install(server, directory / "state", policy, webhook_port=free_port())
        url = stack.enter_context(pages(installation, directory / "web.log", port))
        environment = installation.environment
        new = {**environment, "IMS_URL": url, "IMS_TOKEN": COMMAND_TOKEN}
        yield (
            Build(ROOT, NEW_COMMAND, new),
            Build(
                lay_out(BEFORE, directory / "before", "ims"), OLD_COMMAND, {**environment, "PYTHONPATH": of_before()}
            ),
            postgres_version(server),
        )


@contextlib.contextmanager
def pages(installation: Installation, log: Path, port: int) -> Iterator[str]:
    """ims-web of this build; yields its URL."""
    key = {"IMS_SECRET_KEY": TOKEN, "IMS_WEB_PORT": str(port)}
    gunicorn = [sys.executable, "-m", "gunicorn", "--config", "python:ims.programs.web_gunicorn"]
    command = [*gunicorn, "ims.programs.web:create_app()"]
    with running(command, log=log, environment=installation.environment | key) as process:
        wait_for_answer(process, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}"


def measure(quick: bool) -> str:
    """Run each command in turns, and give the table."""
    with builds() as (new, before, postgresql):
        for round_ in range(3 if quick else 15):
            for name, (arguments, _) in CASES.items():
                for build in (new, before):
                    build.run(name, arguments)
            if round_ == 0:
                # The first of each compiles and fills caches.
                new.seconds.clear()
                before.seconds.clear()
    rows = [
        (name, f"{new.median(name):.2f}", f"{before.median(name):.2f}", f"{new.median(name) / before.median(name):.2f}")
        for name in CASES
    ]
    verdicts = [
        report.Verdict(name, new.median(name) / before.median(name), target, least=False)
        for name, (_, target) in CASES.items()
    ]
    return "\n\n".join(
        [
            f"{machine.describe(postgresql)}. Before: {BEFORE}.",
            report.table(("seconds, median", "now", "before", "now / before"), rows),
            report.table(report.VERDICT_HEAD, (verdict.cells() for verdict in verdicts)),
        ]
    )


if __name__ == "__main__":
    sys.exit(run_benchmark("command", "The command as a whole process, against the build before.", measure))
