"""A policy tree that tests change, and the real reader on it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ims.policy.faults import FaultsFound
from ims.policy.revision import Revision, make_revision

INVENTORY = "inventory/local"
SOUND = {
    "site.yml": "- hosts: machines\n  tasks: []\n",
    "playbooks/heal/restart_service.yml": "- hosts: services\n  gather_facts: false\n  tasks: []\n",
    f"{INVENTORY}/hosts.yml": """\
machines:
  hosts:
    local:
services:
  hosts:
    web:
      url: "http://{{ address }}:{{ web_port }}/health"
      instances: ["{{ address }}:{{ web_port }}"]
      service_recovery: ims
    db:
      service_recovery: platform
  vars:
    owner: alice
    unit: "{{ inventory_hostname }}.service"
    password: "{{ undefined_and_nobodys_business }}"
""",
    f"{INVENTORY}/group_vars/all/platform.yml": "address: 127.0.0.1\nweb_port: 8080\n",
    f"{INVENTORY}/group_vars/all/healing.yml": """\
healing_mode: auto
healing_rules:
  - name: restart-a-dead-service
    match:
      alertname: ServiceDown
    playbook: playbooks/heal/restart_service.yml
    attempts: "{{ 1 + 1 }}"
""",
}

Write = Callable[[str, str], Path]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A sound policy tree with two services and one rule."""
    root = tmp_path / "policy"
    for name, content in SOUND.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


@pytest.fixture
def write(tree: Path) -> Write:
    """Write a file of the tree; the name is relative to its inventory unless it begins with `/`."""

    def write_file(name: str, content: str) -> Path:
        path = tree / (name.removeprefix("/") if name.startswith("/") else f"{INVENTORY}/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    return write_file


def read(root: Path, **environment: str) -> Revision:
    """The revision of a tree, read with this process's PATH and nothing else."""
    return make_revision(root, INVENTORY, environment={"PATH": os.environ["PATH"], **environment})


def faults(root: Path, **environment: str) -> list[str]:
    """The faults of a tree as people see them."""
    with pytest.raises(FaultsFound) as found:
        read(root, **environment)
    return [str(fault) for fault in found.value.faults]
