"""Real `ims admin worker` processes, and ways to kill them and what they started."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from ims.core.settings import Settings
from ims.runs.processes import RUN_ID, WARM_PREFIX, Process, descendants, processes
from ims.runs.supervision.fork import TITLE
from tests.support.postgres import free_port

COMMAND = "import sys; from ims.cli.main import main; sys.exit(main(['admin', 'worker']))"


def environment_of(settings: Settings, directory: Path) -> dict[str, str]:
    """The variables by which a program gets these settings."""
    password = directory / "database_password"
    assert settings.database_password is not None
    password.write_text(settings.database_password.get_secret_value())
    password.chmod(0o600)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "LANG": "C.UTF-8",
        "IMS_STATE_DIR": str(settings.state_dir),
        "IMS_INSTANCE": str(settings.state_dir),
        "IMS_DATABASE_URL": settings.database_url,
        "IMS_DATABASE_PASSWORD_FILE": str(password),
        "IMS_WARM_RUNNERS": str(settings.warm_runners),
        "IMS_WORKER_POOLS": settings.worker_pools,
        "IMS_LEASE_SECONDS": str(settings.lease_seconds),
        "IMS_RECONCILIATION_SECONDS": str(settings.reconciliation_seconds),
        "IMS_RECONCILIATION_GRACE_SECONDS": str(settings.reconciliation_grace_seconds),
        "IMS_LOG_FORMAT": "json",
    }


def clock_ahead(ahead: timedelta, environment: dict[str, str]) -> str:
    """Set the clock of a program to be started, and of its children where libfaketime is installed; returns code that
    the program runs first. Durations are not changed, as when an administrator sets the date.
    """
    if not ahead:
        return ""
    if found := sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")):
        environment |= {
            "LD_PRELOAD": str(found[0]), "FAKETIME": f"+{int(ahead.total_seconds())}s",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DISABLE_SHM": "1",
        }  # fmt: skip
        return ""
    return (
        "import time; from datetime import timedelta; import ims.core.clock as clock\n"
        f"real, real_now, ahead = time.time, clock.utc_now, {ahead.total_seconds()}\n"
        "time.time = lambda: real() + ahead\n"
        "clock.utc_now = lambda: real_now() + timedelta(seconds=ahead)\n"
    )


@dataclass
class WorkerProcess:
    """One worker; `start` it again after it was killed, as a supervisor does."""

    settings: Settings
    directory: Path
    name: str = "worker"
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    ahead: timedelta = timedelta()
    """How far the clock of its machine is ahead."""

    @property
    def log(self) -> Path:
        return self.directory / f"{self.name}.log"

    def start(self) -> None:
        environment = environment_of(self.settings, self.directory)
        environment["IMS_WORKER_METRICS_PORT"] = str(self.port)
        with self.log.open("ab") as log:
            program = clock_ahead(self.ahead, environment) + COMMAND
            self.process = subprocess.Popen(
                [sys.executable, "-c", program], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.directory,
            )  # fmt: skip

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self, timeout: float = 20) -> int:
        """SIGTERM; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def stop(self) -> None:
        """End it, whatever it does."""
        if self.is_running:
            try:
                self.terminate()
            except subprocess.TimeoutExpired:
                self.kill()


PLAYBOOK = TITLE[:15]
"""ansible-playbook's name in the process table."""


def run_processes(state_dir: Path) -> list[Process]:
    """Every process of a run of this state directory; a warm runner is of no run yet."""
    found = []
    for process in processes():
        environment = process.environment() if process.is_running else {}
        mark = environment.get(RUN_ID, WARM_PREFIX)
        if not mark.startswith(WARM_PREFIX) and environment.get("IMS_STATE_DIR") == str(state_dir):
            found.append(process)
    return found


def warm_runners_of(state_dir: Path) -> list[Process]:
    """The children that wait for a run of this state directory."""
    found = []
    for process in processes():
        environment = process.environment() if process.is_running else {}
        if environment.get(RUN_ID, "").startswith(WARM_PREFIX) and environment.get("IMS_STATE_DIR") == str(state_dir):
            found.append(process)
    return found


def command_line(process: Process) -> str:
    """The arguments of a process in one line; empty if it is gone."""
    try:
        return Path(f"/proc/{process.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def children_of_runs(state_dir: Path) -> list[Process]:
    """The processes that runs have for themselves."""
    return [process for process in run_processes(state_dir) if "ims.runs.supervision.child" in command_line(process)]


def playbooks_of_runs(state_dir: Path) -> list[Process]:
    """The ansible-playbook of each run."""
    return [
        below
        for child in children_of_runs(state_dir)
        for below in descendants(child.pid)
        if below.parent == child.pid and below.command == PLAYBOOK
    ]


def wait_until(condition: Callable[[], object], timeout: float, *, every: float = 0.1) -> bool:
    """Wait until a function returns something true; whether it did in time."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(every)
    return bool(condition())
