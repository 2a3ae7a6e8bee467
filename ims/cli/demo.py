"""The command `ims demo`."""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select

from ims.cli.demo_steps import STEPS, Observed, PrometheusAway, query, seen_by_ims, seen_by_prometheus
from ims.core.db.engine import Database
from ims.core.errors import IMSError
from ims.core.settings import Settings, load_settings
from ims.incidents.models import Incident, Status

SERVICE = "ims-web"
LIMIT_SECONDS = 120
POLL_SECONDS = 0.25
BAR_WIDTH = 40
# The longest bar stands for this long; a slower step fills it.
BAR_SECONDS = 20.0


class NotReady(IMSError):
    """The demo needs a running IMS: `make up` starts it, `make status` tells what is missing."""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    command = subparsers.add_parser(
        "demo",
        help="kill ims-web and watch it heal",
        description="Kill the process of ims-web with SIGKILL and print, with seconds since the kill, how it comes "
        f"back. Ends with 1 if a step is missing after {LIMIT_SECONDS} seconds. May be repeated.",
    )
    command.set_defaults(run=_run)


def _run(_arguments: argparse.Namespace) -> int:
    settings = load_settings()
    database = Database.of(settings)
    try:
        _wait_until_calm(database, settings)
        pid = _main_pid(settings)
        _say(f"Killing {SERVICE} (process {pid}) with SIGKILL. Nobody will start it again but IMS.\n")
        killed_at = datetime.now(UTC)
        os.kill(pid, signal.SIGKILL)
        observed = _watch(database, settings, killed_at)
        return _conclude(settings, observed, killed_at)
    finally:
        database.dispose()


def _wait_until_calm(database: Database, settings: Settings) -> None:
    """Return when the service is up and has no unresolved incident; raises `NotReady` after half a minute."""
    deadline = time.monotonic() + 30
    while True:
        with database.begin() as session:
            open_incident = session.scalars(
                select(Incident).where(Incident.service == SERVICE, Incident.status != Status.RESOLVED).limit(1)
            ).first()
        is_up = any(
            series["value"][1] == "1"
            for series in query(settings.prometheus_url, f'probe_success{{service="{SERVICE}"}}')
        )
        if is_up and open_incident is None:
            return
        if time.monotonic() > deadline:
            raise NotReady(
                f"{SERVICE} has the unresolved incident INC-{open_incident.number}: resolve it first."
                if open_incident
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


def _watch(database: Database, settings: Settings, killed_at: datetime) -> Observed:
    """Print each step as it is seen, until the last one or the limit."""
    printed: set[str] = set()
    times: dict[str, datetime] = {}
    observed = Observed({}, None, None)
    while (datetime.now(UTC) - killed_at).total_seconds() < LIMIT_SECONDS:
        # It may be busy just now; what it stored is still there at the next look.
        with contextlib.suppress(PrometheusAway):
            times |= seen_by_prometheus(settings.prometheus_url, SERVICE, killed_at)
        with database.begin() as session:
            observed = seen_by_ims(session, SERVICE, killed_at)
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
    return Observed(times, observed.incident, observed.run)


def _say_step(title: str, seconds: float) -> None:
    blocks = "█" * max(1, round(min(seconds, BAR_SECONDS) / BAR_SECONDS * BAR_WIDTH))
    _say(f"{seconds:7.1f} s  {title:<31} {blocks}")


def _conclude(settings: Settings, observed: Observed, killed_at: datetime) -> int:
    missing = [step.title for step in STEPS if step.name not in observed.times]
    incident = observed.incident
    if incident:
        _say(
            f"\nThe record: {settings.web_url}/incidents/INC-{incident.number}   (ims incident show {incident.number})"
        )
    if missing:
        _say(f"\nNot seen within {LIMIT_SECONDS} s: {', '.join(missing)}.")
        if incident and incident.attention_reason:
            _say(f"IMS says: {incident.attention_reason}")
        _say(f"Look at `make status` and at the logs in {settings.state_dir}/logs.")
        return 1
    seconds = (observed.times["verified"] - killed_at).total_seconds()
    _say(f"{SERVICE} was verified well {seconds:.1f} s after it was killed, and nobody was woken.")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)
