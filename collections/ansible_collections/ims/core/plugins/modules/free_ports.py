"""Ansible module: fail if a TCP port is taken."""

from __future__ import annotations

import os
from typing import Any

import psutil
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.ims.core.plugins.module_utils.installations import is_same_installation

DOCUMENTATION = """
module: free_ports
short_description: Fail if another program uses a TCP port
description:
  - Looks up the listener on each port and fails with the name of every port that another program uses.
  - A process of the same installation, recognised by its environment, is not a conflict.
  - Changes nothing, so it runs in check mode too.
requirements: [psutil]
options:
  ports:
    description: The wanted ports, keyed by the inventory variable that sets each.
    type: dict
    required: true
  mark:
    description: Value of the environment variable E(IMS_INSTANCE) of the installation's own processes.
    type: str
    required: true
  address:
    description: The address to listen on. A listener on another address is not a conflict.
    type: str
    default: 127.0.0.1
author: The IMS authors
"""

EXAMPLES = """
- name: Check that the ports are free
  ims.core.free_ports:
    ports:
      ims_web_port: 8080
    mark: /var/lib/ims
"""

RETURN = """
taken:
  description: The conflicts, one sentence each.
  returned: always
  type: list
  elements: str
"""

ANY = {"0.0.0.0", "::"}  # noqa: S104 - compared with, never bound to


def listeners(address: str) -> dict[int, int | None]:
    """Port → process id of each TCP listener that collides with `address`; None if the system hides the process."""
    found: dict[int, int | None] = {}
    for connection in psutil.net_connections(kind="tcp"):
        if connection.status != psutil.CONN_LISTEN:
            continue
        ip, port = connection.laddr.ip.removeprefix("::ffff:"), connection.laddr.port
        if address in ANY or ip in ANY or ip == address:
            found[port] = found.get(port) or connection.pid
    return found


def is_ours(pid: int | None, mark: str) -> bool:
    """Whether the process or one of its ancestors has the mark in its environment.

    Ancestors count because PostgreSQL overwrites the environment of its backends.
    """
    if pid is None:
        return False
    try:
        process = psutil.Process(pid)
        family = [process, *process.parents()]
    except psutil.NoSuchProcess:
        return False
    for member in family:
        try:
            if member.environ().get("IMS_INSTANCE") == mark:
                return is_same_installation(member.pid, mark)
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    return False


def holder(pid: int | None) -> str:
    """The process that uses a port, described for an error message."""
    if pid is None:
        return "a process of another user" if os.geteuid() else "a process outside this container"
    try:
        process = psutil.Process(pid)
        return f"{process.name()} (process {pid} of user {process.username()})"
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return f"process {pid}"


def conflicts(ports: dict[str, int], mark: str, address: str) -> list[str]:
    """One sentence for each wanted port that is not available."""
    sentences = []
    wanted: dict[int, str] = {}
    taken = listeners(address)
    for variable, port in ports.items():
        if not 1 <= port <= 65535:
            sentences.append(f"{variable} is {port}, which is not a port (1 to 65535).")
        elif port in wanted:
            sentences.append(f"Port {port} is wanted twice, by {wanted[port]} and {variable}.")
        elif port in taken and not is_ours(taken[port], mark):
            sentences.append(
                f"Port {port} is used by {holder(taken[port])}. Stop it, or set {variable} to a free port in "
                "inventory/local/group_vars/all/platform.yml."
            )
        wanted.setdefault(port, variable)
    return sentences


def main() -> None:
    spec: dict[str, Any] = {
        "ports": {"type": "dict", "required": True},
        "mark": {"type": "str", "required": True},
        "address": {"type": "str", "default": "127.0.0.1"},
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    try:
        ports = {variable: int(port) for variable, port in module.params["ports"].items()}
    except (TypeError, ValueError) as error:
        module.fail_json(msg=f"A port is not a number: {error}.", taken=[])
    # As in a URL, an IPv6 address may be in brackets.
    taken = conflicts(ports, module.params["mark"], module.params["address"].strip("[]"))
    if taken:
        module.fail_json(msg=" ".join(taken), taken=taken)
    module.exit_json(changed=False, taken=[])


if __name__ == "__main__":
    main()
