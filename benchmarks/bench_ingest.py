"""Durable ingest: our webhook against a handler that only reads, and against Alerta, under one load in one run.

    .venv/bin/python -m benchmarks.bench_ingest [--quick] [--write]

Everything is started on free ports in a temporary directory and stopped at the end. The systems take turns, round
after round, for a machine is never equally fast for long; figures are medians of the rounds, verdicts are ratios.

A rate is what the database gained while the load was on, never only what was answered; after each round the database
must hold at least what was answered with 2xx, or the run fails.
"""

import contextlib
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from benchmarks import alerta, machine, report
from benchmarks.command import run_benchmark
from benchmarks.database import (
    COMMIT,
    COMMIT_AND_NOTIFY,
    commit_rate,
    postgres_server,
    postgres_version,
    prepare_commit_rate,
)
from benchmarks.installation import TOKEN, PolicyTree, gunicorn, install
from benchmarks.load import CONNECTIONS, Load, Mix, require_wrk, send
from benchmarks.programs import BenchmarkFailed, scratch_directory
from tests.support.postgres import free_port

LOADS = (Load("new", 1), Load("repeat", 1), Load("new", 100), Load("repeat", 100))
WARM_UP = Load("repeat", 100)
"""Sends all 1,000 known alerts, so that repeats are repeats from the first round on."""
DRAIN_SECONDS = 30

OURS, READING, ALERTA = "IMS webhook", "reading only", "Alerta"


@dataclass
class System:
    """One of the three. `stored` counts the notifications in its database; the reading handler has none."""

    name: str
    url: str
    token: str | None = None
    stored: Callable[[], int] | None = None
    may_refuse: bool = False
    """Alerta answers 500 when two requests bring one alert for the first time, and goes on."""
    refused: int = 0
    rates: dict[Load, list[float]] = field(default_factory=dict)
    """Requests a second, one figure a round."""
    slowest: dict[Load, list[float]] = field(default_factory=dict)
    """p99 of the answers in milliseconds, one figure a round."""

    def rate(self, load: Load) -> float:
        return statistics.median(self.rates[load])

    def p99(self, load: Load) -> float:
        return statistics.median(self.slowest[load])


@dataclass(frozen=True, slots=True)
class Plan:
    """How long a run measures; seconds of one turn."""

    rounds: int
    seconds: dict[int, float]
    """By alerts a request."""
    commit_seconds: int

    @classmethod
    def of(cls, *, quick: bool) -> "Plan":
        # Alerta needs 5 s and more for its first answer to 16 requests of 100 alerts.
        return cls(1, {1: 2, 100: 8}, 1) if quick else cls(3, {1: 3, 100: 8}, 2)


def measure(system: System, load: Load, *, run: int, seconds: float) -> None:
    """One turn. Raises `BenchmarkFailed` if ours refused a request or holds less than it answered."""
    before = system.stored() if system.stored else 0
    measured = send(system.url, load, run=run, seconds=seconds, token=system.token)
    rate = measured.rate
    if system.stored:
        rate = (system.stored() - before) / load.alerts / measured.seconds
        kept, answered = _drained(system.stored) - before, measured.requests * load.alerts
        if not system.may_refuse and not answered <= kept <= answered + CONNECTIONS * load.alerts:
            raise BenchmarkFailed(f"{system.name}, {load}: {answered} alerts were answered, {kept} are stored.")
    if measured.refused and not system.may_refuse:
        raise BenchmarkFailed(f"{system.name}, {load}: {measured.refused} requests were not answered with 2xx.")
    system.refused += measured.refused
    system.rates.setdefault(load, []).append(rate)
    system.slowest.setdefault(load, []).append(measured.p99)


def _drained(stored: Callable[[], int]) -> int:
    """The count once the requests that wrk left behind are done: stored in full, or seen to be abandoned."""
    deadline = time.monotonic() + DRAIN_SECONDS
    count, quiet = stored(), 0
    while quiet < 2 and time.monotonic() < deadline:
        time.sleep(0.3)
        count, before = stored(), count
        quiet = quiet + 1 if count == before else 0
    return count


@contextlib.contextmanager
def systems() -> Iterator[tuple[list[System], Callable[[str, int], float], str]]:
    """Everything started; yields the three, a measure of the database's commits, and PostgreSQL's version."""
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(scratch_directory())
        server = stack.enter_context(postgres_server(directory / "postgresql"))
        prepare_commit_rate(server)
        port = free_port()
        policy = PolicyTree.write(
            directory / "policy", url=f"http://127.0.0.1:{port}/health", mark=directory / "first-task"
        )
        installation = install(server, directory / "state", policy, webhook_port=port)
        ours = stack.enter_context(
            gunicorn("webhook.app:create_app()", installation, directory / "webhook.log", port=port)
        )
        reading = stack.enter_context(
            gunicorn(
                "benchmarks.reading_only:create_app()",
                installation.beside("reading"),
                directory / "reading.log",
                port=free_port(),
            )
        )
        other = stack.enter_context(postgres_server(directory / "alerta-postgresql"))
        theirs = stack.enter_context(alerta.alerta(other, directory))
        yield (
            [
                System(OURS, f"{ours}/alerts", TOKEN, installation.stored_notifications),
                System(READING, f"{reading}/alerts", TOKEN),
                System(ALERTA, theirs, stored=lambda: alerta.stored_notifications(other), may_refuse=True),
            ],
            lambda statement, seconds: commit_rate(server, statement, directory, clients=CONNECTIONS, seconds=seconds),
            postgres_version(server),
        )


def run(quick: bool) -> str:
    """Measure everything and return the tables."""
    require_wrk()
    plan = Plan.of(quick=quick)
    numbers = itertools.count(1)
    with systems() as (competitors, commits, postgresql):
        for system in competitors:
            measure(system, WARM_UP, run=next(numbers), seconds=plan.seconds[100])
            del system.rates[WARM_UP], system.slowest[WARM_UP]
        commit_rates: dict[str, list[float]] = {COMMIT: [], COMMIT_AND_NOTIFY: []}
        for number in range(plan.rounds):
            for load in LOADS:
                for system in competitors:
                    print(f"round {number + 1} of {plan.rounds}: {load}: {system.name}", file=sys.stderr, flush=True)
                    measure(system, load, run=next(numbers), seconds=plan.seconds[load.alerts])
            for statement, figures in commit_rates.items():
                figures.append(commits(statement, plan.commit_seconds))
    return tables(competitors, {key: statistics.median(figures) for key, figures in commit_rates.items()}, postgresql)


def tables(competitors: list[System], commits: dict[str, float], postgresql: str) -> str:
    """Figures, the database's own, and the verdicts."""
    ours, reading, theirs = competitors
    figures = [
        (
            str(load),
            *(f"{system.rate(load) * load.alerts:,.0f}" for system in competitors),
            f"{ours.rate(load) / reading.rate(load):.2f}",
            f"{ours.rate(load) / theirs.rate(load):.1f}",
            f"{ours.p99(load):.0f} / {theirs.p99(load):.0f}",
        )
        for load in LOADS
    ]
    head = (
        "alerts a second",
        OURS,
        READING,
        f"{ALERTA} {alerta.VERSION}",
        f"ours / {READING}",
        f"ours / {ALERTA}",
        "p99 in ms, ours / Alerta",
    )
    commit_rows = [
        ("one row inserted", f"{commits[COMMIT]:,.0f}"),
        ("one row inserted, and NOTIFY", f"{commits[COMMIT_AND_NOTIFY]:,.0f}"),
    ]
    return "\n\n".join(
        [
            f"{machine.describe(postgresql)}.",
            report.table(head, figures),
            f"{ALERTA} answered {theirs.refused} requests with an error.",
            report.table(("commits a second, 16 connections (pgbench)", "PostgreSQL"), commit_rows),
            report.table(report.VERDICT_HEAD, (verdict.cells() for verdict in verdicts(*competitors))),
        ]
    )


def verdicts(ours: System, reading: System, theirs: System) -> list[report.Verdict]:
    """quality.md's three targets, each for new alerts and for repeats."""
    mixes: tuple[tuple[Mix, str], ...] = (("new", "new alerts"), ("repeat", "repeats"))
    wanted = [
        (1, reading, 0.4, "one alert a request, against reading only"),
        (1, theirs, 10, "one alert a request, against Alerta"),
        (100, theirs, 20, "100 alerts a request, against Alerta"),
    ]
    return [
        report.Verdict(f"{what}: {kind}", ours.rate(Load(mix, alerts)) / other.rate(Load(mix, alerts)), target)
        for alerts, other, target, what in wanted
        for mix, kind in mixes
    ]


if __name__ == "__main__":
    sys.exit(run_benchmark("ingest", "Durable ingest, against a handler that only reads and against Alerta.", run))
