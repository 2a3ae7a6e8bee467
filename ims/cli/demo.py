"""The command `ims demo`."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from ims.cli.client import Api, api
from ims.cli.demo_steps import STEPS, Observed, PrometheusAway, query, seen_by_ims, seen_by_prometheus
from ims.cli.errors import Away, CommandFailed
from ims.cli.group import examples, group
from ims.cli.output import say
from ims.core.settings import Settings, load_settings

app = group("demo", "Kill the IMS web process and watch it heal.")

SERVICE = "ims-web"
LIMIT_SECONDS = 120
POLL_SECONDS = 0.25
BAR_WIDTH = 40
# Seconds that the longest bar represents; a slower step fills the bar.
BAR_SECONDS = 20.0


class NotReady(CommandFailed):
    """The demo needs a running IMS: `make up` starts it, `make status` shows what is missing."""


@app.command("demo", epilog=examples("ims demo"))
def demo() -> None:
    """Kill the IMS web process and watch it heal.

    The first thing to try after `make up`, on the same machine. Kills ims-web with SIGKILL and prints each step of its
    recovery with the seconds since the kill. Exits with 1 if a step is missing after two minutes. Safe to repeat.
    """
    settings = load_settings()
    server = api()
    _wait_until_calm(server, settings)
    pid = _main_pid(settings)
    say(f"Killing {SERVICE} (process {pid}) with SIGKILL. Only IMS will start it again.\n")
    killed_at = datetime.now(UTC)
    os.kill(pid, signal.SIGKILL)
    observed = _watch(server, settings, killed_at)
    _conclude(settings, observed, killed_at)


def _wait_until_calm(server: Api, settings: Settings) -> None:
    """Wait until the service is up and has no unresolved incident. Raises `NotReady` after 30 seconds."""
    deadline = time.monotonic() + 30
    while True:
        unresolved = server.first("/incidents", 1, service=SERVICE, status="unresolved")
        is_up = any(
            series["value"][1] == "1"
            for series in query(settings.prometheus_url, f'probe_success{{service="{SERVICE}"}}')
        )
        if is_up and not unresolved:
            return
        if time.monotonic() > deadline:
            raise NotReady(
                f"{SERVICE} has the unresolved incident {unresolved[0]['incident']}: resolve it first."
                if unresolved
                else f"Prometheus does not see {SERVICE} up: `make status` shows what is missing."
            )
        time.sleep(POLL_SECONDS)


def _main_pid(settings: Settings) -> int:
    """Process id of the service, from supervisorctl. Raises `NotReady`."""
    control = shutil.which("supervisorctl", path=str(Path(sys.executable).parent)) or "supervisorctl"
    configuration = settings.state_dir / "supervisor" / "supervisord.conf"
    answer = subprocess.run(
        [control, "-c", str(configuration), "pid", SERVICE],
        capture_output=True, text=True, timeout=10, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if not answer.stdout.strip().isdigit() or (pid := int(answer.stdout)) < 2:  # 0 means not running
        raise NotReady
    return pid


def _watch(server: Api, settings: Settings, killed_at: datetime) -> Observed:
    """Print each step when it is observed, until the last step or the time limit."""
    printed: set[str] = set()
    times: dict[str, datetime] = {}
    observed = Observed({}, None)
    while (datetime.now(UTC) - killed_at).total_seconds() < LIMIT_SECONDS:
        # Prometheus may be busy; the next poll finds what it has stored.
        with contextlib.suppress(PrometheusAway):
            times |= seen_by_prometheus(settings.prometheus_url, SERVICE, killed_at)
        # The API is served by the program that was killed: until it is back, only Prometheus responds.
        with contextlib.suppress(Away):
            observed = seen_by_ims(server, SERVICE, killed_at)
            times |= observed.times
        for step in STEPS:
            # Print in order: a step that was observed early waits for the previous one.
            if step.name in printed:
                continue
            if step.name not in times:
                break
            _print_step(step.title, (times[step.name] - killed_at).total_seconds())
            printed.add(step.name)
        if len(printed) == len(STEPS):
            break
        time.sleep(POLL_SECONDS)
    return Observed(times, observed.incident)


def _print_step(title: str, seconds: float) -> None:
    blocks = "█" * max(1, round(min(seconds, BAR_SECONDS) / BAR_SECONDS * BAR_WIDTH))
    say(f"{seconds:7.1f} s  {title:<31} {blocks}")


def _conclude(settings: Settings, observed: Observed, killed_at: datetime) -> None:
    missing = [step.title for step in STEPS if step.name not in observed.times]
    incident = observed.incident
    if incident:
        name = incident["incident"]
        say(f"\nIncident: {settings.web_url}/incidents/{name}   (ims incident show {name})")
    if missing:
        say(f"\nNot observed within {LIMIT_SECONDS} s: {', '.join(missing)}.")
        if incident and incident["attention_reason"]:
            say(f"Reason: {incident['attention_reason']}")
        raise CommandFailed(f"See `make status` and the logs in {settings.state_dir}/logs.")
    seconds = (observed.times["verified"] - killed_at).total_seconds()
    say(f"{SERVICE} was healthy again {seconds:.1f} s after it was killed, and nobody was notified.")
