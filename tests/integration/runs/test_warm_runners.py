"""A run with a warm runner is like any other, only faster; and a run does not need a warm runner."""

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from ims.core.errors import RunDenied
from ims.runs.events import RunEvent
from ims.runs.processes import RUN_ID, SPEC, WARM_PREFIX, Process, descendants, processes
from ims.runs.recap import Outcome, RunResult
from ims.runs.request import RunRequest
from ims.runs.supervision.execution import execute
from ims.runs.supervision.sweep import remove_orphaned_directories
from ims.runs.supervision.warm import WarmRunners
from tests.integration.runs import caller
from tests.integration.runs.conftest import Execution, Policy, assert_nothing_left, marked, until
from tests.support.workers import PLAYBOOK

HELLO = "- name: Say hello\n  ansible.builtin.command: echo hello"


@asynccontextmanager
async def spares_for(policy: Policy, request: RunRequest, count: int = 1) -> AsyncIterator[WarmRunners]:
    """Ready warm runners for a request; nothing may be left of them."""
    warm_runners = WarmRunners(policy.runs, count)
    try:
        while not warm_runners.are_ready:
            await warm_runners.keep(request.run_context)
            await asyncio.sleep(0.02)
        yield warm_runners
    finally:
        await warm_runners.close()
    assert waiting(policy) == []
    assert list(policy.runs.iterdir()) == []


def waiting(policy: Policy) -> list[Process]:
    """The warm runners of this policy."""
    found = []
    for process in processes():
        environment = process.environment() if process.is_running else {}
        is_spare = environment.get(RUN_ID, "").startswith(WARM_PREFIX)
        if is_spare and environment["ANSIBLE_CONFIG"].startswith(str(policy.runs)):
            found.append(process)
    return found


async def run(
    policy: Policy, request: RunRequest, warm_runners: WarmRunners | None, **more: asyncio.Event
) -> Execution:
    events: list[RunEvent] = []

    async def keep(batch: Sequence[RunEvent]) -> None:
        events.extend(batch)

    result = await execute(request, policy.directory(request), on_events=keep, warm_runners=warm_runners, **more)
    assert_nothing_left(policy, request)
    return Execution(result, events)


def events_of(execution: Execution) -> list[tuple[str, str | None, str]]:
    """The events of a run, without the times."""
    times = re.compile(r'"(delta|start|end)": "[^"]*"')
    return [(event.kind, event.task, times.sub("", event.stdout)) for event in execution.events]


def test_a_run_with_a_warm_runner_tells_the_same_story(policy: Policy) -> None:
    playbook = policy.playbook(
        HELLO
        + """
- name: Fail a little
  ansible.builtin.command: "false"
  ignore_errors: true
- name: Look at a file
  ansible.builtin.stat: {path: "{{ playbook_dir }}/playbook.yml"}
- name: End badly
  ansible.builtin.fail: {msg: enough}
"""
    )

    async def scene() -> None:
        request = policy.request(playbook)
        without = await run(policy, policy.request(playbook), None)
        async with spares_for(policy, request) as warm_runners:
            (warm_runner,) = waiting(policy)
            execution = await run(policy, request, warm_runners)
            assert not warm_runner.send(signal.SIGCONT), "the run did not use the warm runner"
        assert execution.result.outcome is without.result.outcome is Outcome.FAILED
        assert execution.result.rc == without.result.rc == 2
        assert (execution.result.recap, execution.result.reason) == (without.result.recap, without.result.reason)
        assert execution.result.failed_task == without.result.failed_task
        assert events_of(execution) == events_of(without)

    asyncio.run(scene())


def test_all_that_a_run_with_a_spare_starts_carries_the_mark_of_the_run(policy: Policy) -> None:
    request = policy.request(
        policy.playbook(
            f"""
- ansible.builtin.debug: {{msg: "{{{{ lookup('env', 'IMS_RUN_ID') }}}}"}}
- ansible.builtin.shell: "env > {policy.root}/env.new && mv {policy.root}/env.new {policy.root}/env && sleep 60"
"""
        )
    )

    async def scene() -> None:
        cancel = asyncio.Event()
        async with spares_for(policy, request) as warm_runners:
            (warm_runner,) = waiting(policy)
            running = asyncio.create_task(run(policy, request, warm_runners, cancel=cancel))
            await until((policy.root / "env").exists)
            assert waiting(policy) == []
            below = descendants(warm_runner.pid)
            assert PLAYBOOK in {process.command for process in below}
            assert {process.pid for process in marked(request.run_id)} == {warm_runner.pid, *(one.pid for one in below)}
            cancel.set()
            execution = await running
        assert execution.result.outcome is Outcome.CANCELLED
        assert f"IMS_RUN_ID={request.run_id}" in (policy.root / "env").read_text().splitlines()
        assert f'"msg": "{request.run_id}"' in execution.log

    asyncio.run(scene())


def test_modules_are_packed_before_there_is_a_run(policy: Policy) -> None:
    request = policy.request(policy.playbook(HELLO))

    async def scene() -> None:
        async with spares_for(policy, request):
            (directory,) = policy.runs.iterdir()
            assert (directory / "child.err").read_text() == ""
            packed = {path.name.partition("-")[0] for path in directory.glob("tmp/*/ansiballz_cache/*")}
            assert {"ansible.modules.command", "ansible.modules.systemd"} <= {
                name.replace("ansible_collections.ansible.builtin.plugins", "ansible") for name in packed
            }

    asyncio.run(scene())


def test_a_spare_of_another_policy_is_not_used_and_goes(policy: Policy) -> None:
    request = policy.request(policy.playbook(HELLO))
    other = replace(request.run_context, environment={"IMS_INSTANCE": "another"})

    async def scene() -> None:
        async with spares_for(policy, request) as warm_runners:
            (old,) = waiting(policy)
            assert warm_runners.take(other) is None
            await warm_runners.keep(other)
            assert not old.send(signal.SIGCONT)
            await until(lambda: warm_runners.are_ready)
            assert warm_runners.take(request.run_context) is None
            assert len(waiting(policy)) == 1

    asyncio.run(scene())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_run_goes_on_without_a_spare_that_is_dead_or_does_not_answer(
    policy: Policy, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = policy.request(policy.playbook(HELLO))

    async def scene() -> None:
        async with spares_for(policy, request) as warm_runners:
            (warm_runner,) = waiting(policy)
            taken = warm_runners.take(request.run_context)
            monkeypatch.setattr(warm_runners, "take", lambda _premises: taken)
            warm_runner.send(number)
            await until(lambda: warm_runner.pid not in {process.pid for process in waiting(policy)} or number != 9)
            before = REGISTRY.get_sample_value("ims_run_children_total", {"child": "new"}) or 0
            execution = await run(policy, request, warm_runners)
            assert REGISTRY.get_sample_value("ims_run_children_total", {"child": "new"}) == before + 1
            assert execution.result.outcome is Outcome.SUCCEEDED
            assert not warm_runner.send(signal.SIGCONT)

    asyncio.run(scene())


def test_a_dead_spare_is_replaced_but_not_at_once(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    request = policy.request(policy.playbook(HELLO))

    async def scene() -> None:
        async with spares_for(policy, request) as warm_runners:
            (warm_runner,) = waiting(policy)
            warm_runner.send(signal.SIGKILL)
            await until(lambda: not warm_runners.are_ready)
            await warm_runners.keep(request.run_context)
            assert waiting(policy) == []
            monkeypatch.setattr("ims.runs.supervision.warm._REST_SECONDS", 0)
            await warm_runners.keep(request.run_context)
            await until(lambda: warm_runners.are_ready)

    asyncio.run(scene())


def test_the_same_run_is_refused_with_a_spare_too_and_the_first_one_is_left_alone(policy: Policy) -> None:
    request = policy.request(policy.playbook(HELLO))

    async def scene() -> None:
        async with spares_for(policy, request) as warm_runners:
            policy.directory(request).mkdir()
            with pytest.raises(RunDenied):
                await run(policy, request, warm_runners)
            assert waiting(policy) == []
            assert list(policy.runs.iterdir()) == [policy.directory(request)]
            policy.directory(request).rmdir()

    asyncio.run(scene())


def test_the_deadline_counts_from_the_beginning_of_the_run(policy: Policy) -> None:
    request = policy.request(policy.playbook("- ansible.builtin.command: sleep 60"), timeout=1.5)

    async def scene() -> RunResult:
        async with spares_for(policy, request) as warm_runners:
            await asyncio.sleep(2)
            return (await run(policy, request, warm_runners)).result

    result = asyncio.run(scene())
    assert result.outcome is Outcome.TIMED_OUT
    assert result.seconds >= 1.5


def test_a_faulty_configuration_is_reported_by_ansible_itself(policy: Policy) -> None:
    (policy.root / "ansible.cfg").write_text("[defaults]\nforks = many\n")
    playbook = policy.playbook(HELLO)

    async def scene() -> None:
        request = policy.request(playbook)
        async with spares_for(policy, request) as warm_runners:
            execution = await run(policy, request, warm_runners)
        assert execution.result.outcome is Outcome.FAILED
        assert "forks" in execution.log.lower()
        assert execution.result.rc not in (0, None)

    asyncio.run(scene())


def test_a_spare_ends_with_its_worker_and_its_directory_is_swept(policy: Policy, tmp_path: Path) -> None:
    request = policy.request(policy.playbook("- ansible.builtin.command: sleep 60"))
    fields = tmp_path / "fields.json"
    fields.write_text(json.dumps(request.model_dump(mode="json")))
    arguments = [str(fields), str(policy.directory(request)), str(tmp_path / "answer"), "warm runner"]

    async def scene() -> None:
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", caller.__name__, *arguments, cwd=Path(caller.__file__).parents[3]
        )
        await until(lambda: bool(waiting(policy)))
        worker.kill()
        await worker.wait()
        await until(lambda: waiting(policy) == [] and marked(request.run_id) == [])

    asyncio.run(scene())
    assert [path for path in policy.runs.iterdir() if (path / SPEC).exists()]
    remove_orphaned_directories(policy.runs)
    assert list(policy.runs.iterdir()) == []


def test_exit_codes_are_those_of_an_interpreter_of_its_own(
    policy: Policy, play: Callable[[RunRequest], Execution]
) -> None:
    (policy.root / "broken.yml").write_text("- hosts: services\n  tasks: [{nonsense\n")
    assert play(policy.request("broken.yml")).result.rc == 4
