"""Ansible module: control one program of a supervisord through its socket."""

from __future__ import annotations

import configparser
import time
import xmlrpc.client
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from ansible.module_utils.basic import AnsibleModule
from supervisor.xmlrpc import Faults, SupervisorTransport

DOCUMENTATION = """
module: supervisor_program
short_description: Apply, start, stop or restart one program of supervisord
description:
  - Talks to supervisord through the socket that its configuration file names.
  - V(present) applies a new or changed definition of this program only. M(community.general.supervisorctl) leaves
    a changed definition unapplied, and its V(restarted) first applies the pending definitions of all programs.
  - Kills the processes that a dead program left behind before it starts the program.
requirements: [psutil, supervisor]
options:
  name:
    description: The program's name in supervisord.
    type: str
    required: true
  config:
    description: The configuration file of supervisord.
    type: path
    required: true
  state:
    description: The wanted state of the program. V(status) changes nothing and only returns the status. V(signalled)
      does nothing if the program is not running.
    choices: [present, started, stopped, restarted, signalled, status]
    required: true
    type: str
  signal:
    description: The signal for O(state=signalled), for example V(HUP).
    type: str
  timeout:
    description: Seconds to wait for the program to be running.
    default: 30
    type: int
author: The IMS authors
"""

EXAMPLES = """
- name: Restart a program
  ims.core.supervisor_program:
    name: checkout
    config: /var/lib/ims/supervisor/supervisord.conf
    state: restarted
"""

RETURN = """
status:
  description: The program's state in supervisord afterwards, for example V(RUNNING); V(ABSENT) if supervisord has no
    such program.
  returned: always
  type: str
"""

UP = {"RUNNING", "STARTING", "BACKOFF"}
# All states in which the program is not running satisfy "stopped".
DOWN = {"STOPPED", "EXITED", "FATAL", "UNKNOWN"}


class Supervisor:
    """One program of one supervisord; xmlrpc.client.Fault and OSError pass through to the caller."""

    def __init__(self, config: str, name: str) -> None:
        parser = configparser.RawConfigParser()
        parser.read_string(Path(config).read_text(encoding="utf-8"))
        url = parser.get("supervisorctl", "serverurl")
        self.url = url
        self.rpc = xmlrpc.client.ServerProxy("http://127.0.0.1", SupervisorTransport(None, None, url)).supervisor
        self.name = name

    def status(self) -> str:
        """The name of the program's state, or ABSENT."""
        try:
            info: Any = self.rpc.getProcessInfo(self.name)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == Faults.BAD_NAME:
                return "ABSENT"
            raise
        return str(info["statename"])

    def pending(self) -> str | None:
        """`added` or `changed` if supervisord has not applied this program's definition yet, else None."""
        changes: Any = self.rpc.reloadConfig()
        added, changed, _removed = changes[0]
        return "added" if self.name in added else "changed" if self.name in changed else None

    def apply(self) -> bool:
        """Apply this program's definition; return whether it was new or changed."""
        pending = self.pending()
        if pending == "changed":
            self.stop()
            self.rpc.removeProcessGroup(self.name)
        if pending is not None:
            self.rpc.addProcessGroup(self.name)
        return pending is not None

    def end_orphans(self) -> None:
        """Kill the processes that a dead program left behind, recognised by the variables that supervisord sets.

        The workers of a web server whose master was killed keep its port for a while, and a new master could not bind.
        """
        for process in psutil.process_iter():
            try:
                environment = process.environ()
                given = environment.get("SUPERVISOR_PROCESS_NAME"), environment.get("SUPERVISOR_SERVER_URL")
                if given == (self.name, self.url):
                    process.kill()
                    process.wait(5)
            except psutil.Error:
                continue

    def start(self, timeout: float) -> None:
        """Start the program and wait until supervisord reports RUNNING. Raises TimeoutError after `timeout` seconds."""
        if self.status() in DOWN:
            self.end_orphans()
            self.rpc.startProcess(self.name, True)
        deadline = time.monotonic() + timeout
        while (status := self.status()) != "RUNNING":
            if status in DOWN or time.monotonic() > deadline:
                raise TimeoutError(status)
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop the program and wait until it has ended. Does nothing if it is not running."""
        try:
            self.rpc.stopProcessGroup(self.name, True)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != Faults.NOT_RUNNING:
                raise

    def restart(self, timeout: float) -> None:
        """Stop the program if it is running, then start it."""
        self.stop()
        self.start(timeout)


def reach(state: str, supervisor: Supervisor, params: dict[str, Any], dry: bool) -> bool:
    """Bring the program to `state`; return whether that changed, or with `dry` would change, anything."""
    if state == "present":
        return supervisor.pending() is not None if dry else supervisor.apply()
    status = supervisor.status()
    if status == "ABSENT" and state not in ("signalled", "status") and not dry:
        raise LookupError(supervisor.name)
    steps: dict[str, tuple[bool, Callable[[], object]]] = {
        "started": (status != "RUNNING", lambda: supervisor.start(params["timeout"])),
        "stopped": (status not in DOWN, supervisor.stop),
        "restarted": (True, lambda: supervisor.restart(params["timeout"])),
        "signalled": (status in UP, lambda: supervisor.rpc.signalProcess(supervisor.name, params["signal"])),
        "status": (False, lambda: None),
    }
    needed, act = steps[state]
    if needed and not dry:
        act()
    # If the program was starting by itself, this module changed nothing.
    return needed and not (state == "started" and status in UP)


def main() -> None:
    states = ["present", "started", "stopped", "restarted", "signalled", "status"]
    spec: dict[str, Any] = {
        "name": {"type": "str", "required": True},
        "config": {"type": "path", "required": True},
        "state": {"type": "str", "choices": states, "required": True},
        "signal": {"type": "str"},
        "timeout": {"type": "int", "default": 30},
    }
    module = AnsibleModule(spec, supports_check_mode=True, required_if=[("state", "signalled", ["signal"])])
    name, state = module.params["name"], module.params["state"]
    try:
        supervisor = Supervisor(module.params["config"], name)
        changed = reach(state, supervisor, module.params, module.check_mode)
        module.exit_json(changed=changed, status=supervisor.status())
    except LookupError:
        module.fail_json(msg=f"supervisord has no program {name}.", status="ABSENT")
    except TimeoutError as error:
        module.fail_json(
            msg=f"{name} did not start: its state in supervisord is {error}. See the program's log.", status=str(error)
        )
    except xmlrpc.client.Fault as fault:
        module.fail_json(msg=f"supervisord reported an error: {name}: {fault.faultString}.", status="UNKNOWN")
    except (OSError, configparser.Error) as error:
        if module.check_mode:
            module.exit_json(changed=state != "status", status="UNKNOWN")
        module.fail_json(msg=f"supervisord does not answer ({error}); `make up` starts it.", status="UNKNOWN")


if __name__ == "__main__":
    main()
