"""This build against an earlier one, in turns: ingest, alert to first task, and reading a million incidents.

    .venv/bin/python -m benchmarks.bench_before [--quick] [--write] [--only ingest --only reads]

Each build is laid out from this clone's history and starts what it has with its own benchmarks' code, on a database of
its own; both run with the libraries of this environment. What is compared takes turns, so that whatever else happens on
the machine happens to both.
"""

import contextlib
import itertools
import json
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from benchmarks import machine, report
from benchmarks.bench_command import BEFORE, NEW_COMMAND, OLD_COMMAND, lay_out, of_before
from benchmarks.bench_healing import SETTLE_SECONDS, alert, seconds_to_first_task
from benchmarks.command import run_benchmark
from benchmarks.installation import TOKEN
from benchmarks.load import Load, require_wrk, send
from benchmarks.programs import ROOT, BenchmarkFailed, free_environment, scratch_directory

TARGET: Final = 0.95
INCIDENTS: Final = 1_000_000
LOADS: Final = (Load("new", 1), Load("repeat", 1), Load("new", 100), Load("repeat", 100))
PARTS: Final = ("ingest", "healing", "reads")
RENAMED: Final = {"words: ": "search: ", "figures of ": "statistics of "}
"""How the names of what is read begin in the earlier build, and now."""

# Runs inside a build: starts what was asked for, says where it is, and looks at it when a line names what to look at.
_STAGE: Final = """
import contextlib, json, sys, time
from pathlib import Path
from benchmarks import installation
from benchmarks.database import postgres_server, postgres_version
from benchmarks.programs import stop_on_sigterm
from tests.support.postgres import free_port
stop_on_sigterm()
what, directory, command, incidents = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
installation.IMS = command
def say(**what): print(json.dumps(what), flush=True)
with contextlib.ExitStack() as stack:
    if what == "reads":
        from benchmarks import bench_scale
        here = stack.enter_context(bench_scale.site(directory / "site", incidents))
        say(looks=list(bench_scale.LOOKS), postgresql=here.known["version"])
        for line in sys.stdin:
            began = time.perf_counter()
            bench_scale.LOOKS[line.strip()](here)
            say(seconds=time.perf_counter() - began)
    else:
        server = stack.enter_context(postgres_server(directory / "postgresql"))
        port, mark = free_port(), directory / "first-task"
        tree = installation.PolicyTree.write(directory / "policy", url=f"http://127.0.0.1:{port}/health", mark=mark)
        ours = installation.install(server, directory / "state", tree, webhook_port=port)
        log = directory / "webhook.log"
        url = stack.enter_context(installation.gunicorn("webhook.app:create_app()", ours, log, port=port))
        if what == "healing":
            stack.enter_context(installation.worker(ours, directory / "worker.log"))
        say(url=url + "/alerts", mark=str(mark), postgresql=postgres_version(server))
        sys.stdin.read()
"""


@dataclass
class Build:
    """One build on its stage."""

    name: str
    process: subprocess.Popen[str]
    log: Path
    known: dict[str, Any] = field(default_factory=dict)
    values: dict[str, list[float]] = field(default_factory=dict)

    def listen(self) -> dict[str, Any]:
        """The next thing the stage says. Raises `BenchmarkFailed` when it ended instead."""
        line = self._stream(self.process.stdout).readline()
        if not line:
            raise BenchmarkFailed(f"{self.name} ended:\n{self.log.read_text()[-3000:]}")
        return dict(json.loads(line))

    def look(self, name: str) -> float:
        """Seconds that one look took."""
        print(name, file=self._stream(self.process.stdin), flush=True)
        return float(self.listen()["seconds"])

    @staticmethod
    def _stream(stream: IO[str] | None) -> IO[str]:
        if stream is None:
            raise BenchmarkFailed("the stage has no pipe.")
        return stream

    def keep(self, name: str, value: float) -> None:
        self.values.setdefault(name, []).append(value)

    def median(self, name: str) -> float:
        return statistics.median(self.values[name])


def environment_of(root: Path, directory: Path) -> Path:
    """The Python of an environment in which `ims` is the one below `root`; libraries and scripts are this one's.

    A run's child starts isolated, so neither the current directory nor PYTHONPATH would do.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
    paths = [root, sysconfig.get_path("purelib"), of_before()]
    (packages,) = directory.glob("lib/python*/site-packages")
    (packages / "build.pth").write_text("".join(f"{path}\n" for path in paths))
    python = directory / "bin/python"
    for script in Path(sys.executable).parent.glob("ansible*"):
        (copy := directory / "bin" / script.name).write_text(f"#!{python}\n" + script.read_text().partition("\n")[2])
        copy.chmod(0o755)
    return python


@contextlib.contextmanager
def stage(name: str, root: Path, start: str, what: str, directory: Path, size: int) -> Iterator[Build]:
    """A build with everything started that `what` needs."""
    directory.mkdir()
    python = environment_of(root, directory / "environment")
    command = python.with_name("ims")
    command.write_text(f"#!{python}\n{start}\n")
    command.chmod(0o755)
    log = directory / "stage.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [python, "-c", _STAGE, what, directory, command, str(size)],
            cwd=root, env=free_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
    build = Build(name, process, log)
    try:
        build.known = build.listen()
        yield build
    finally:
        # It ends when nobody names another look, unless it is still writing the past.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=10)
        process.terminate()
        process.wait(60)


@contextlib.contextmanager
def both(what: str, size: int = 0) -> Iterator[tuple[Build, Build]]:
    """This build and the one before."""
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(scratch_directory())
        before = lay_out(
            BEFORE, directory / "code", "ims", "webhook", "benchmarks", "tests/support", "tests/__init__.py"
        )
        sides = (("now", ROOT, NEW_COMMAND), ("before", before, OLD_COMMAND))
        now, then = (
            stack.enter_context(stage(name, root, start, what, directory / name, size)) for name, root, start in sides
        )
        yield now, then


def in_turns(now: Build, before: Build, number: int) -> tuple[Build, Build]:
    """Who begins changes with each round."""
    return (now, before) if number % 2 else (before, now)


def ingest(quick: bool) -> tuple[str, list[report.Verdict]]:
    """Requests a second that were answered after their commit."""
    require_wrk()
    numbers = itertools.count(1)
    with both("ingest") as builds:
        for number in range(3 if quick else 8):
            for load in LOADS:
                for build in in_turns(*builds, number):
                    took = send(
                        build.known["url"], load, run=next(numbers), seconds=3 if load.alerts == 1 else 6, token=TOKEN
                    )
                    if number:
                        build.keep(str(load), took.rate * load.alerts)
    now, before = builds
    rows = [_row(now, before, str(load), "{:,.0f}", now.median(str(load)) / before.median(str(load))) for load in LOADS]
    verdicts = [report.Verdict(f"ingest: {row[0]}", float(row[3]), TARGET) for row in rows]
    return report.table(("alerts a second, median", "now", "before", "now / before"), rows), verdicts


def healing(quick: bool) -> tuple[str, list[report.Verdict]]:
    """Seconds from an alert to the first task of its playbook."""
    name = "alert to first task"
    with both("healing") as builds:
        for number in range(4 if quick else 25):
            for build in in_turns(*builds, number):
                took = seconds_to_first_task(build.known["url"], alert(number), Path(build.known["mark"]))
                time.sleep(SETTLE_SECONDS)
                if number:
                    build.keep(name, took)
    now, before = builds
    ratio = before.median(name) / now.median(name)
    row = _row(now, before, name, "{:.3f}", ratio)
    return report.table(("seconds, median", "now", "before", "before / now"), [row]), [
        report.Verdict(name, ratio, TARGET)
    ]


def reads(quick: bool) -> tuple[str, list[report.Verdict]]:
    """Milliseconds of each look at many incidents, and all of them together."""
    with both("reads", INCIDENTS // (20 if quick else 1)) as builds:
        now, before = builds
        earlier = {_name_of_now(name): name for name in before.known["looks"]}
        names = [name for name in now.known["looks"] if name in earlier]
        for number in range(4 if quick else 40):
            for name in names:
                for build in in_turns(now, before, number):
                    took = build.look(earlier[name] if build is before else name)
                    if number:
                        build.keep(name, 1000 * took)
    rows = [_row(now, before, name, "{:.1f}", before.median(name) / now.median(name)) for name in names]
    total = sum(map(before.median, names)) / sum(map(now.median, names))
    middle = statistics.median(before.median(name) / now.median(name) for name in names)
    return report.table((f"milliseconds, median, {INCIDENTS:,} incidents", "now", "before", "before / now"), rows), [
        report.Verdict("reads: all of them together", total, TARGET),
        report.Verdict("reads: the median of the ratios", middle, TARGET),
    ]


def _name_of_now(name: str) -> str:
    for earlier, present in RENAMED.items():
        if name.startswith(earlier):
            return present + name.removeprefix(earlier)
    return name


def _row(now: Build, before: Build, name: str, form: str, ratio: float) -> tuple[str, str, str, str]:
    return name, form.format(now.median(name)), form.format(before.median(name)), f"{ratio:.2f}"


def measure(quick: bool, only: Collection[str] = PARTS) -> str:
    """The chosen parts, one after the other, and the tables."""
    parts = {"ingest": ingest, "healing": healing, "reads": reads}
    measured = [parts[name](quick) for name in only]
    verdicts = [verdict for _, found in measured for verdict in found]
    return "\n\n".join(
        [
            f"{machine.describe('PostgreSQL of the wheel')}. Before: {BEFORE}.",
            *(table for table, _ in measured),
            report.table(report.VERDICT_HEAD, (verdict.cells() for verdict in verdicts)),
        ]
    )


if __name__ == "__main__":
    sys.exit(run_benchmark("before", "Ingest, healing and reading, against an earlier build.", measure, PARTS))
