"""ansible-runner, told what to do and kept from what it would do by itself."""

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
    "fact_cache_type": "memory",  # facts of an earlier run must never be believed
    "suppress_env_files": True,
}
_EVENT_ID = re.compile(r"[0-9a-f_-]{1,64}")


class PlaybookRunner(Runner):  # type: ignore[misc] # ansible-runner is not typed
    """Runs one playbook and hands every event to ``emit``; keeps nothing on disk."""

    def __init__(self, config: RunnerConfig, emit: Callable[[Mapping[str, Any]], None]) -> None:
        # A cancel callback is given because Runner would install signal handlers of its own without one; its own ways
        # to cancel kill the process group and leave Ansible's workers, which have left that group, alive.
        super().__init__(config, cancel_callback=lambda: False)
        self._emit = emit

    def event_callback(self, event_data: dict[str, Any]) -> None:
        """Take one event from the stream.

        The original believes whatever stands between two event tokens in the output, so that a task which prints such
        tokens could forge a recap or name a file to be removed. Here only the callback plugin's own file of the event,
        whose name cannot be guessed, is believed; everything else is text.
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
        """Keep the status; the original hands the whole environment to every installed plugin."""
        self.status = status
        if status == "running":
            # It holds the environment in plain text and nobody reads it.
            Path(self.config.artifact_dir, "command").unlink(missing_ok=True)


def warm_up(policy_root: str, directory: Path, leave: Callable[[], None]) -> None:
    """Import all that a playbook of this policy needs, so that a run may fork it. `leave`: see `Forking`."""
    config = RunnerConfig(private_data_dir=str(directory), project_dir=policy_root, **_FIXED)
    config.prepare_env()
    _correct(config.env)
    os.chdir(config.cwd)
    Forking.leave = staticmethod(leave)
    Forking.launcher = _launcher()
    Forking.prepared = config.env if import_ansible(config.env) else None
    pexpect.spawn = Forking


def warm_up_thoroughly() -> None:
    """After `warm_up`, do what pays only if nobody waits for it."""
    if Forking.prepared is not None:
        try:
            pack_modules(Forking.prepared)
        except Exception:  # noqa: BLE001 - the run is only slower, and the worker's log tells why
            traceback.print_exc()
        # What is there by now is there to stay: no collection of the forks has to look at it.
        gc.collect()
        gc.freeze()


def is_warm() -> bool:
    """Whether `warm_up` was called."""
    return pexpect.spawn is Forking


def prepare(spec: Mapping[str, Any], directory: Path, emit: Callable[[Mapping[str, Any]], None]) -> PlaybookRunner:
    """Return a runner for ``spec`` that starts ansible-playbook in a way that it cannot outlive this process."""
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
    """Take out what is the policy's to say: whether host keys are checked, where ansible-runner would turn it off."""
    environment.pop("ANSIBLE_HOST_KEY_CHECKING", None)
