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
# The longest bar stands for this long; a slower step fills it.
BAR_SECONDS = 20.0


class NotReady(CommandFailed):
    """The demo needs a running IMS: `make up` starts it, `make status` tells what is missing."""


@app.command("demo", epilog=examples("ims demo"))
def demo() -> None:
    """Kill the IMS web process and watch it heal.

    The first thing to try after `make up`, on the same machine. Kills ims-web with SIGKILL and prints, with seconds
    since the kill, how it comes back. Ends with 1 if a step is missing after two minutes. May be repeated.
    """
    settings = load_settings()
    server = api()
    _wait_until_calm(server, settings)
    pid = _main_pid(settings)
    say(f"Killing {SERVICE} (process {pid}) with SIGKILL. Nobody will start it again but IMS.\n")
    killed_at = datetime.now(UTC)
    os.kill(pid, signal.SIGKILL)
    observed = _watch(server, settings, killed_at)
    _conclude(settings, observed, killed_at)


def _wait_until_calm(server: Api, settings: Settings) -> None:
    """Return when the service is up and has no unresolved incident; raises `NotReady` after half a minute."""
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
                else f"Prometheus does not see {SERVICE} up: `make status` tells what is missing."
            )
        time.sleep(POLL_SECONDS)


def _main_pid(settings: Settings) -> int:
    """Process id of the service as its supervisor knows it. Raises `NotReady`."""
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
    """Print each step as it is seen, until the last one or the limit."""
    printed: set[str] = set()
    times: dict[str, datetime] = {}
    observed = Observed({}, None)
    while (datetime.now(UTC) - killed_at).total_seconds() < LIMIT_SECONDS:
        # It may be busy just now; what it stored is still there at the next look.
        with contextlib.suppress(PrometheusAway):
            times |= seen_by_prometheus(settings.prometheus_url, SERVICE, killed_at)
        # It is the very program that was killed: until it is back, only Prometheus tells.
        with contextlib.suppress(Away):
            observed = seen_by_ims(server, SERVICE, killed_at)
            times |= observed.times
        for step in STEPS:
            # In the story's order: a step that was seen early waits for the one before it.
            if step.name in printed:
                continue
            if step.name not in times:
                break
            _say_step(step.title, (times[step.name] - killed_at).total_seconds())
            printed.add(step.name)
        if len(printed) == len(STEPS):
            break
        time.sleep(POLL_SECONDS)
    return Observed(times, observed.incident)


def _say_step(title: str, seconds: float) -> None:
    blocks = "█" * max(1, round(min(seconds, BAR_SECONDS) / BAR_SECONDS * BAR_WIDTH))
    say(f"{seconds:7.1f} s  {title:<31} {blocks}")


def _conclude(settings: Settings, observed: Observed, killed_at: datetime) -> None:
    missing = [step.title for step in STEPS if step.name not in observed.times]
    incident = observed.incident
    if incident:
        name = incident["incident"]
        say(f"\nThe record: {settings.web_url}/incidents/{name}   (ims incident show {name})")
    if missing:
        say(f"\nNot seen within {LIMIT_SECONDS} s: {', '.join(missing)}.")
        if incident and incident["attention_reason"]:
            say(f"IMS says: {incident['attention_reason']}")
        raise CommandFailed(f"Look at `make status` and at the logs in {settings.state_dir}/logs.")
    seconds = (observed.times["verified"] - killed_at).total_seconds()
    say(f"{SERVICE} was healthy again {seconds:.1f} s after it was killed, and nobody was woken.")
