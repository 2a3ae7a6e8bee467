"""Ansible module: find or end the processes of one IMS installation."""

from __future__ import annotations

import os
import signal
from typing import Any

import psutil
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ims.core.plugins.module_utils.installations import is_same_installation

DOCUMENTATION = """
module: instance_processes
short_description: Find or end every process of one IMS installation
description:
  - A process belongs to an installation if its environment has the mark E(IMS_INSTANCE), if its executable is below
    the installation's directory, or if such a process is its ancestor.
  - The path has to mean the same directory to the process as it does here. A process of another root, container or
    mount namespace whose installation has the same path is left alone.
  - Needed because the programs of a killed supervisord go on running and keep their ports.
requirements: [psutil]
options:
  mark:
    description: The installation's state directory, which is the value of E(IMS_INSTANCE).
    type: path
    required: true
  state:
    description: V(absent) ends all processes, V(listed) only returns them.
    choices: [absent, listed]
    default: listed
    type: str
  grace:
    description: Seconds between the first signal (SIGTERM, or SIGINT for PostgreSQL) and SIGKILL.
    default: 10
    type: int
author: The IMS authors
"""

EXAMPLES = """
- name: End the processes that an earlier supervisord left behind
  ims.core.instance_processes:
    mark: /var/lib/ims
    state: absent
"""

RETURN = """
processes:
  description: The processes that were found.
  returned: always
  type: list
  elements: str
"""


def carries_mark(process: psutil.Process, mark: str) -> bool:
    """Whether the environment or the executable of the process shows that it belongs to the installation `mark`."""
    return has_mark(process, mark) and is_same_installation(process.pid, mark)


def has_mark(process: psutil.Process, mark: str) -> bool:
    """Whether the environment or the executable of the process names the path `mark`."""
    try:
        if process.environ().get("IMS_INSTANCE") == mark:
            return True
    except psutil.Error:
        pass
    try:
        # PostgreSQL overwrites its environment with its title, but its executable is still below our directory.
        return process.exe().startswith(mark.rstrip("/") + "/")
    except psutil.Error:
        return False


def find(mark: str) -> list[psutil.Process]:
    """All living processes of the installation, except this one and its ancestors."""
    this = psutil.Process()
    excluded = {os.getpid(), *(parent.pid for parent in this.parents())}
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        if process.pid in excluded or not carries_mark(process, mark):
            continue
        found[process.pid] = process
        try:
            found.update({child.pid: child for child in process.children(recursive=True)})
        except psutil.NoSuchProcess:
            continue
    return [process for pid, process in found.items() if pid not in excluded and is_alive(process)]


def is_alive(process: psutil.Process) -> bool:
    """Whether the process is not a zombie: a zombie holds neither ports nor files, and only its parent can reap it."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def describe(process: psutil.Process) -> str:
    """Process id and name, but not the arguments, which may be long or secret."""
    try:
        return f"{process.pid} {process.name()}"
    except psutil.NoSuchProcess:
        return f"{process.pid} (ended)"


def end(processes: list[psutil.Process], grace: float) -> None:
    """Send SIGTERM, or SIGINT to PostgreSQL, wait `grace` seconds, then send SIGKILL."""
    for process in processes:
        try:
            # SIGTERM makes PostgreSQL wait for its clients; SIGINT is its fast shutdown.
            process.send_signal(signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(processes, timeout=grace)
    for process in alive:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(alive, timeout=5)


def main() -> None:
    spec: dict[str, Any] = {
        "mark": {"type": "path", "required": True},
        "state": {"type": "str", "choices": ["absent", "listed"], "default": "listed"},
        "grace": {"type": "int", "default": 10},
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    mark = module.params["mark"]
    found = find(mark)
    listed = [describe(process) for process in found]
    if module.params["state"] == "listed" or not found:
        module.exit_json(changed=False, processes=listed)
    if not module.check_mode:
        end(found, module.params["grace"])
        # A process may have forked before it ended.
        late = find(mark)
        end(late, 0)
        left = [describe(process) for process in find(mark)]
        if left:
            module.fail_json(msg=f"These processes could not be ended: {', '.join(left)}.", processes=left)
    module.exit_json(changed=True, processes=listed)


if __name__ == "__main__":
    main()
