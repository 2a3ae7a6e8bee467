"""ansible-runner, configured for one run and without the side effects that it has by default."""

import gc
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pexpect
from ansible_runner import Runner, RunnerConfig

from ims.runs.events import VERBOSE
from ims.runs.supervision.fork import Forking, import_ansible, pack_modules

_FIXED: Final = {
    "ident": "0",
    "fact_cache_type": "memory",  # facts of an earlier run must never be used
    "suppress_env_files": True,
}
_EVENT_ID = re.compile(r"[0-9a-f_-]{1,64}")


class PlaybookRunner(Runner):  # type: ignore[misc] # ansible-runner is not typed
    """Runs one playbook and passes every event to ``emit``; keeps nothing on disk."""

    def __init__(self, config: RunnerConfig, emit: Callable[[Mapping[str, Any]], None]) -> None:
        # Without a cancel callback Runner would install its own signal handlers. Its cancel kills the process group
        # only, and Ansible's workers, which have left that group, would survive.
        super().__init__(config, cancel_callback=lambda: False)
        self._emit = emit

    def event_callback(self, event_data: dict[str, Any]) -> None:
        """Take one event from the stream.

        The original trusts whatever is between two event tokens in the output, so that a task which prints such tokens
        could forge a recap or name a file to be removed. Here only the callback plugin's own file of the event, whose
        name cannot be guessed, is trusted; everything else is text.
        """
        if "stdout" not in event_data and "uuid" not in event_data:
            return  # the end of the stream
        text = str(event_data.get("stdout", ""))
        event = self._read_event(str(event_data.get("uuid", "")))
        if event is None:
            event = {"event": VERBOSE, "created": datetime.now(UTC).isoformat()}
        self._emit({**event, "stdout": text})

    def _read_event(self, event_id: str) -> dict[str, Any] | None:
        if not _EVENT_ID.fullmatch(event_id):
            return None
        path = Path(self.config.artifact_dir, "job_events", f"{event_id}-partial.json")
        try:
            event = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return None
        path.unlink()
        return event if isinstance(event, dict) else None

    def status_callback(self, status: str) -> None:
        """Keep the status; the original passes the whole environment to every installed plugin."""
        self.status = status
        if status == "running":
            # The file contains the environment in plain text and is not needed.
            Path(self.config.artifact_dir, "command").unlink(missing_ok=True)


def warm_up(policy_root: str, directory: Path, leave: Callable[[], None]) -> None:
    """Import everything that a playbook of this policy needs, so that a run can fork it. `leave`: see `Forking`."""
    config = RunnerConfig(private_data_dir=str(directory), project_dir=policy_root, **_FIXED)
    config.prepare_env()
    _correct(config.env)
    os.chdir(config.cwd)
    Forking.leave = staticmethod(leave)
    Forking.launcher = _launcher()
    Forking.prepared = config.env if import_ansible(config.env) else None
    pexpect.spawn = Forking


def warm_up_thoroughly() -> None:
    """After `warm_up`, do the preparations that pay only if no run is waiting."""
    if Forking.prepared is not None:
        try:
            pack_modules(Forking.prepared)
        except Exception:  # noqa: BLE001 - the run is only slower, and the worker's log has the reason
            traceback.print_exc()
        # The objects of the imports live as long as the process: exclude them from garbage collection in the forks.
        gc.collect()
        gc.freeze()


def is_warm() -> bool:
    """Whether `warm_up` was called."""
    return pexpect.spawn is Forking


def prepare(spec: Mapping[str, Any], directory: Path, emit: Callable[[Mapping[str, Any]], None]) -> PlaybookRunner:
    """Return a runner for ``spec`` whose ansible-playbook cannot outlive this process."""
    config = RunnerConfig(
        private_data_dir=str(directory),
        project_dir=spec["policy_root"],
        inventory=spec["inventory"],
        playbook=spec["playbook"],
        limit=spec["limit"],
        extravars=spec["extra_vars"],
        cmdline="--check --diff" if spec["check"] else None,
        **_FIXED,
    )
    config.prepare()
    _correct(config.env)
    config.suppress_output_file = True
    config.suppress_ansible_output = True
    config.pexpect_timeout = 1  # seconds until a dead ansible-playbook is noticed whose terminal somebody holds open
    config.command = [*_launcher(), *config.command[1:]]
    return PlaybookRunner(config, emit)


def _launcher() -> list[str]:
    return [sys.executable, "-I", "-m", "ims.runs.supervision.launch", str(os.getpid())]


def _correct(environment: dict[str, str]) -> None:
    """Remove ansible-runner's ANSIBLE_HOST_KEY_CHECKING=False: the policy decides whether host keys are checked."""
    environment.pop("ANSIBLE_HOST_KEY_CHECKING", None)
