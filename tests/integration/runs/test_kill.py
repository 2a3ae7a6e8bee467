"""kill -9 of every process of a run, at every stage, while a counter on the target is watched."""

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ims.runs.processes import Process, children, read_process
from ims.runs.recap import Outcome
from ims.runs.request import RunRequest
from tests.integration.runs import caller
from tests.integration.runs.conftest import Policy, assert_nothing_left, carries, marked, until
from tests.support.workers import PLAYBOOK

INSTANCE = "kill-test"
PATIENCE = 60.0
"""Seconds for a stage to be reached on a busy machine."""
STILL = 2.5
"""Seconds until nothing of a killed run may live any more: the grace of a second, and some for a busy machine."""

TASKS = """
- name: Count in a task
  ansible.builtin.command:
    argv: ["{{ ansible_playbook_python }}", counter.py, "{{ counter }}", "{{ run }}", task, "{{ task_lines }}"]
    chdir: "{{ playbook_dir }}"
  notify: Count in a handler
- name: Count in another task
  ansible.builtin.command:
    argv: ["{{ ansible_playbook_python }}", counter.py, "{{ counter }}", "{{ run }}", another, "{{ another_lines }}"]
    chdir: "{{ playbook_dir }}"
"""
HANDLERS = """
  handlers:
    - name: Count in a handler
      ansible.builtin.command:
        argv: ["{{ ansible_playbook_python }}", counter.py, "{{ counter }}", "{{ run }}", handler, "{{ lines }}"]
        chdir: "{{ playbook_dir }}"
      vars:
        lines: "{{ handler_lines }}"
"""


@dataclass
class Scene:
    """One run by a worker of its own, with the counter of its target."""

    policy: Policy
    request: RunRequest
    counter: Path
    worker: asyncio.subprocess.Process
    answer: Path

    def says(self, text: str) -> bool:
        return self.counter.exists() and text in self.counter.read_text()

    def child(self) -> Process | None:
        found = [process for process in children(self.worker.pid) if carries(process, self.request.run_id)]
        return found[0] if found else None

    def playbook(self) -> Process | None:
        child = self.child()
        found = [process for process in children(child.pid) if is_launched(process)] if child else []
        return found[0] if found else None


def is_launched(process: Process) -> bool:
    """Return whether the process has become ansible-playbook, not only a fork that is about to."""
    return process.command == PLAYBOOK


STAGES: dict[str, Callable[[Scene], bool]] = {
    "before its start": lambda scene: scene.policy.directory(scene.request).exists(),
    "child started": lambda scene: scene.child() is not None,
    "ansible-playbook started": lambda scene: scene.playbook() is not None,
    "in a task": lambda scene: scene.says(" task 5"),
    "between tasks": lambda scene: scene.says(" task 14"),
    "in a handler": lambda scene: scene.says(" handler 7"),
    "at the end": lambda scene: scene.says(" handler 4"),
}
VICTIMS = {
    "worker": ("worker",),
    "child": ("child",),
    "ansible-playbook": ("playbook",),
    "worker and child": ("worker", "child"),
    # From below, so that no process is signalled before it is killed itself.
    "all three": ("playbook", "child", "worker"),
}
ENDLESS = 2_000
"""Lines of a counter that goes on for longer than a test waits, if nobody stops it."""
LINES = {
    "in a task": {"task_lines": ENDLESS},
    "between tasks": {"task_lines": 15, "another_lines": ENDLESS},
    "in a handler": {"handler_lines": ENDLESS},
}
EACH = ("worker", "child", "ansible-playbook")
AT_STAGE = {
    "before its start": ("worker",),
    "child started": ("worker", "child", "worker and child"),
    "ansible-playbook started": tuple(VICTIMS),
    "in a task": tuple(VICTIMS),
    "between tasks": EACH,
    "in a handler": (*EACH, "all three"),
    "at the end": EACH,
}


@pytest.mark.parametrize("stage", STAGES)
def test_whoever_is_killed_the_target_is_left_alone_and_never_has_two_runs(stage: str, policy: Policy) -> None:
    (policy.root / "playbook.yml").write_text(
        Path(policy.root / policy.playbook(TASKS)).read_text() + HANDLERS,
    )

    async def kill_each() -> None:
        await asyncio.gather(*(kill_one(stage, name, policy) for name in AT_STAGE[stage]))

    asyncio.run(kill_each())


async def kill_one(stage: str, victims: str, policy: Policy) -> None:
    counter = policy.root.parent / f"counter of {victims}"
    # By turns with a child that was started ahead of its run.
    with_spare = (list(STAGES).index(stage) + list(VICTIMS).index(victims)) % 2 == 1
    scene = await start(policy, counter, LINES.get(stage, {}), with_spare=with_spare)
    try:
        await until(lambda: STAGES[stage](scene) or scene.answer.exists(), PATIENCE)
        numbers = {
            "worker": read_process(scene.worker.pid),
            "child": scene.child(),
            "playbook": scene.playbook(),
        }
        for victim in VICTIMS[victims]:
            process = numbers[victim]
            assert process is not None or stage == "at the end", f"{victim} is not there"
            if process is not None:
                process.send(signal.SIGKILL)
        await scene.worker.wait()
        if "worker" in VICTIMS[victims]:
            # The successor comes at once, and without the sweep that a worker makes at its start: the chain must do.
            await asyncio.gather(assert_still(scene), succeed_after(scene))
        else:
            assert scene.answer.read_text() in expected(stage)
            assert_nothing_left(policy, scene.request)
            await assert_still(scene)
    finally:
        await put_down(scene)


def expected(stage: str) -> set[str]:
    if stage == "at the end":  # the playbook may have been done
        return {Outcome.DIED, Outcome.SUCCEEDED}
    return {Outcome.DIED}


async def assert_still(scene: Scene) -> None:
    """The run's processes end, and then it changes nothing any more."""
    await until(lambda: marked(scene.request.run_id) == [], STILL)
    before = lines_of(scene)
    await asyncio.sleep(0.2)
    assert lines_of(scene) == before


def lines_of(scene: Scene) -> list[str]:
    lines = scene.counter.read_text().splitlines() if scene.counter.exists() else []
    return [line for line in lines if line.startswith(str(scene.request.run_id))]


async def succeed_after(first: Scene) -> None:
    """A second run on the same target succeeds and the two never mix."""
    scene = await start(first.policy, first.counter, {}, playbook="quick.yml")
    try:
        async with asyncio.timeout(PATIENCE):
            await scene.worker.wait()
        assert scene.answer.read_text() == Outcome.SUCCEEDED
    finally:
        await put_down(scene)
    runs = [line.split()[0] for line in first.counter.read_text().splitlines()]
    second = str(scene.request.run_id)
    assert second in runs
    assert set(runs[runs.index(second) :]) == {second}


async def start(
    policy: Policy, counter: Path, lines: dict[str, int], playbook: str = "playbook.yml", *, with_spare: bool = False
) -> Scene:
    policy.playbook(TASKS.partition("  notify:")[0], name="quick.yml")
    request = policy.request(playbook, environment={"IMS_INSTANCE": INSTANCE})
    fields = policy.root.parent / f"{request.run_id}.json"
    few = {"task_lines": 5, "another_lines": 5, "handler_lines": 5}
    parameters = few | lines | {"counter": str(counter), "run": str(request.run_id)}
    fields.write_text(
        json.dumps(request.model_dump(mode="json", exclude={"parameters"}) | {"parameters": parameters}),
    )
    answer = policy.root.parent / f"{request.run_id}.answer"
    arguments = [str(fields), str(policy.directory(request)), str(answer), *(["warm runner"] if with_spare else [])]
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", caller.__name__, *arguments, cwd=Path(caller.__file__).parents[3]
    )
    return Scene(policy, request, counter, worker, answer)


async def put_down(scene: Scene) -> None:
    if scene.worker.returncode is None:
        scene.worker.kill()
        await scene.worker.wait()
    for process in marked(scene.request.run_id):
        process.send(signal.SIGKILL)
