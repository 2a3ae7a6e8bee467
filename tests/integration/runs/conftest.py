"""A small policy of real playbooks, and a way to execute them."""

import asyncio
import shutil
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from ims.runs.events import RunEvent
from ims.runs.processes import RUN_ID, Process, processes
from ims.runs.recap import RunResult
from ims.runs.request import RunRequest
from ims.runs.supervision.execution import execute
from ims.runs.supervision.sockets import remove_short_directory

HOSTS = frozenset({"checkout", "billing"})
GROUPS = frozenset({"services"})

INVENTORY = """
services:
  hosts:
    checkout: {}
    billing: {}
  vars:
    ansible_connection: local
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
"""

# Appends a line every 10 ms: what a healing would do to its target, made visible.
COUNTER = """
import sys, time
path, run, stage, number = sys.argv[1:5]
for index in range(int(number)):
    with open(path, "a") as file:
        file.write(f"{run} {stage} {index}\\n")
    time.sleep(0.01)
"""


@dataclass
class Policy:
    """A policy tree in a temporary directory."""

    root: Path
    runs: Path

    def playbook(self, tasks: str, *, name: str = "playbook.yml", header: str = "hosts: services") -> str:
        """Write a playbook with these tasks and return its name."""
        indented = textwrap.indent(textwrap.dedent(tasks).strip(), "    ")
        (self.root / name).write_text(f"- {header}\n  gather_facts: false\n  tasks:\n{indented}\n")
        return name

    def request(self, playbook: str, **fields: Any) -> RunRequest:
        """Return a request to run it on the host ``checkout``."""
        given = {
            "run_id": uuid4(),
            "policy_root": self.root,
            "inventory": "inventory",
            "playbook": playbook,
            "hosts": HOSTS,
            "groups": GROUPS,
            "limit": "checkout",
            "timeout": 30,
        }
        return RunRequest.check(**(given | fields))

    def directory(self, request: RunRequest) -> Path:
        """Return the directory that the run gets for itself."""
        return self.runs / str(request.run_id)


@dataclass
class Execution:
    """The events of a run, and how it ended."""

    result: RunResult
    events: list[RunEvent] = field(default_factory=list)

    @property
    def log(self) -> str:
        """The output of the playbook."""
        return "\n".join(event.stdout for event in self.events)


@pytest.fixture
def policy(tmp_path: Path) -> Iterator[Policy]:
    root = tmp_path / "policy"
    (root / "inventory").mkdir(parents=True)
    (root / "inventory/hosts.yml").write_text(INVENTORY)
    (root / "counter.py").write_text(COUNTER)
    runs = tmp_path / "runs"
    runs.mkdir()
    yield Policy(root, runs)
    # Of runs that were killed with their worker; the next worker would do it.
    for directory in runs.iterdir():
        remove_short_directory(directory)
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def play(policy: Policy) -> Callable[[RunRequest], Execution]:
    """Execute a request to its end; nothing may be left of it."""

    def run(request: RunRequest) -> Execution:
        events: list[RunEvent] = []

        async def keep(batch: Sequence[RunEvent]) -> None:
            events.extend(batch)

        result = asyncio.run(execute(request, policy.directory(request), on_events=keep))
        assert_nothing_left(policy, request)
        return Execution(result, events)

    return run


def marked(run_id: UUID) -> list[Process]:
    """Return the living processes that carry the mark of the run."""
    return [process for process in processes() if process.is_running and carries(process, run_id)]


def carries(process: Process, run_id: UUID) -> bool:
    return process.environment().get(RUN_ID) == str(run_id)


def assert_nothing_left(policy: Policy, request: RunRequest) -> None:
    assert marked(request.run_id) == []
    assert not policy.directory(request).exists()


async def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something holds; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, [process.command for process in processes() if process.is_running]
        await asyncio.sleep(0.01)


async def assert_stands_still(counter: Path) -> None:
    """Nothing is appended to the counter any more."""
    before = size(counter)
    await asyncio.sleep(0.2)
    assert size(counter) == before


def size(path: Path) -> int:
    return path.stat().st_size
