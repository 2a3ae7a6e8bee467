"""From an alert to the first task of its healing playbook: our webhook and worker against ansible-rulebook, in turns.

    .venv/bin/python -m benchmarks.bench_healing [--quick] [--write]

The clock starts before the POST and ends when the first task of the same playbook touches a file. Both products wait
warm; each alert is of another service, and the next one is sent only when the last playbook has ended.
"""

import contextlib
import json
import statistics
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from benchmarks import machine, report
from benchmarks.command import run_benchmark
from benchmarks.database import postgres_server, postgres_version
from benchmarks.installation import TOKEN, PolicyTree, gunicorn, install, service, worker
from benchmarks.programs import BenchmarkFailed, scratch_directory
from benchmarks.rulebook import VERSION, ansible_rulebook
from tests.support.postgres import free_port

OURS, THEIRS = "IMS", f"ansible-rulebook {VERSION}"
ANSIBLE = version("ansible-core")
TARGET = 0.5
START_SECONDS = 30
SETTLE_SECONDS = 2.0
"""A playbook's end, and ours to be verified, before the next alert."""


def alert(number: int) -> bytes:
    """A notification of Alertmanager about one service that is down."""
    labels = {"alertname": "ServiceDown", "service": service(number), "instance": f"node-{number}:9100",
              "severity": "critical"}  # fmt: skip
    firing = {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": f"{service(number)} is down"},
        "startsAt": "2026-01-05T08:00:00.000Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example:9090/graph",
        "fingerprint": f"{number:016x}",
    }
    return json.dumps(
        {"version": "4", "status": "firing", "receiver": "ims", "alerts": [firing], "groupLabels": {},
         "commonLabels": labels, "commonAnnotations": {}, "externalURL": "http://alertmanager.example:9093",
         "groupKey": "{}:{}", "truncatedAlerts": 0}
    ).encode()  # fmt: skip


def seconds_to_first_task(url: str, body: bytes, mark: Path) -> float:
    """Post an alert and wait for the mark. Raises `BenchmarkFailed` when it does not come."""
    mark.unlink(missing_ok=True)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 - loopback
    sent = time.time()
    with urllib.request.urlopen(request, timeout=START_SECONDS):  # noqa: S310
        pass
    while not mark.exists():
        if time.time() > sent + START_SECONDS:
            raise BenchmarkFailed(f"{url}: no task was started within {START_SECONDS} s.")
        time.sleep(0.01)
    # The file's own time, so that how often we look does not count.
    return mark.stat().st_mtime - sent


@contextlib.contextmanager
def products(mark: Path, directory: Path) -> Iterator[tuple[dict[str, str], str]]:
    """Both started and warm; yields the URL of each, and PostgreSQL's version."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(postgres_server(directory / "postgresql"))
        port = free_port()
        policy = PolicyTree.write(directory / "policy", url=f"http://127.0.0.1:{port}/health", mark=mark)
        installation = install(server, directory / "state", policy, webhook_port=port)
        ours = stack.enter_context(
            gunicorn("webhook.app:create_app()", installation, directory / "webhook.log", port=port)
        )
        stack.enter_context(worker(installation, directory / "worker.log"))
        theirs = stack.enter_context(
            ansible_rulebook(
                directory,
                inventory=policy.root / policy.inventory,
                playbook=policy.root / policy.playbook,
                ansible=ANSIBLE,
            )
        )
        yield {OURS: f"{ours}/alerts", THEIRS: theirs}, postgres_version(server)


def run(quick: bool) -> str:
    """Measure both in turns and return the tables. The first of each only warms up."""
    samples = 3 if quick else 15
    figures: dict[str, list[float]] = {OURS: [], THEIRS: []}
    with scratch_directory() as directory:
        mark = directory / "first-task"
        with products(mark, directory) as (urls, postgresql):
            for number in range(samples + 1):
                for name, url in urls.items():
                    print(f"alert {number} of {samples}: {name}", file=sys.stderr, flush=True)
                    figures[name].append(seconds_to_first_task(url, alert(number), mark))
                    time.sleep(SETTLE_SECONDS)
    medians = {name: statistics.median(seconds[1:]) for name, seconds in figures.items()}
    rows = [
        (name, f"{medians[name]:.2f}", f"{min(seconds[1:]):.2f}", f"{max(seconds[1:]):.2f}")
        for name, seconds in figures.items()
    ]
    verdict = report.Verdict(
        "alert to first task, p50, against ansible-rulebook", medians[OURS] / medians[THEIRS], TARGET, least=False
    )
    return "\n\n".join(
        [
            f"{machine.describe(postgresql, f'ansible-core {ANSIBLE}')}; {samples} alerts each.",
            report.table(("seconds from the alert to the first task", "p50", "fastest", "slowest"), rows),
            report.table(report.VERDICT_HEAD, [verdict.cells()]),
        ]
    )


if __name__ == "__main__":
    sys.exit(run_benchmark("healing", "Alert to the first task of its playbook, against ansible-rulebook.", run))
