"""How runs of real playbooks end, and that nothing of them is left."""

import asyncio
import re
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ims.core.errors import RunDenied
from ims.runs.events import MAX_STDOUT, NOTE, RunEvent
from ims.runs.recap import Outcome, RunResult
from ims.runs.request import RunRequest
from ims.runs.supervision.execution import execute
from tests.integration.runs.conftest import (
    HOSTS,
    Execution,
    Policy,
    assert_nothing_left,
    assert_stands_still,
    marked,
    until,
)

Play = Callable[[RunRequest], Execution]

# Counts for as long as nobody stops it, and does not listen to SIGTERM.
STUBBORN = """
- name: Go on for ever
  ansible.builtin.shell:
    cmd: |
      trap '' TERM
      while :; do echo line >> counter; sleep 0.02; done
    chdir: "{{ playbook_dir }}"
"""


async def ignore(_events: Sequence[RunEvent]) -> None:
    """Take a batch."""


def test_a_playbook_that_does_its_work_succeeds_and_tells_its_story(policy: Policy, play: Play) -> None:
    execution = play(policy.request(policy.playbook("- name: Say hello\n  ansible.builtin.debug: {msg: hello}")))
    assert execution.result.outcome is Outcome.SUCCEEDED
    assert execution.result.rc == 0
    assert execution.result.recap["checkout"].ok == 1
    assert set(execution.result.recap) == {"checkout"}
    assert execution.result.failed_task is None
    assert execution.result.left_behind == ()
    assert execution.result.first_task_seconds is not None
    assert [event.counter for event in execution.events] == list(range(1, len(execution.events) + 1))
    ok = next(event for event in execution.events if event.kind == "runner_on_ok")
    assert (ok.play, ok.task, ok.host) == ("services", "Say hello", "checkout")
    assert "\x1b[0;32m" in ok.stdout
    assert '"msg": "hello"' in ok.stdout


def test_a_check_changes_nothing_and_says_what_it_would_change(policy: Policy, play: Play) -> None:
    playbook = policy.playbook(
        """
        - name: Write a file
          ansible.builtin.copy:
            content: "new\\n"
            dest: "{{ playbook_dir }}/written"
            mode: "0600"
        """
    )
    checked = play(policy.request(playbook, is_check=True))
    assert (checked.result.outcome, checked.result.recap["checkout"].changed) == (Outcome.SUCCEEDED, 1)
    assert "+new" in checked.log
    assert not (policy.root / "written").exists()
    applied = play(policy.request(playbook))
    assert (applied.result.recap["checkout"].changed, "+new" in applied.log) == (1, False)
    assert (policy.root / "written").read_text() == "new\n"


def test_a_playbook_that_does_not_meet_the_target_has_failed_in_spite_of_rc_0(policy: Policy, play: Play) -> None:
    playbook = policy.playbook("- ansible.builtin.debug: {msg: hello}", header="hosts: nobody:billing")
    result = play(policy.request(playbook)).result
    assert (result.rc, result.outcome, result.recap) == (0, Outcome.FAILED, {})
    assert "matched no host" in result.reason


def test_a_rescued_failure_is_no_failure(policy: Policy, play: Play) -> None:
    tasks = """
    - block:
        - name: Break
          ansible.builtin.command: {argv: ["false"]}
      rescue:
        - ansible.builtin.debug: {msg: rescued}
    - ansible.builtin.command: {argv: ["false"]}
      ignore_errors: true
    """
    result = play(policy.request(policy.playbook(tasks))).result
    assert result.outcome is Outcome.SUCCEEDED
    assert result.recap["checkout"].rescued == 1
    assert result.failed_task is None


def test_a_failed_task_is_named_with_its_message(policy: Policy, play: Play) -> None:
    tasks = """
    - name: Restart
      ansible.builtin.shell: {cmd: "echo disk full >&2; exit 3"}
    """
    result = play(policy.request(policy.playbook(tasks))).result
    assert (result.rc, result.outcome) == (2, Outcome.FAILED)
    assert result.failed_task is not None
    assert (result.failed_task.task, result.failed_task.host) == ("Restart", "checkout")
    assert "disk full" in result.failed_task.message
    assert "'Restart'" in result.reason


def test_a_playbook_with_a_fault_says_what_ansible_says(policy: Policy, play: Play) -> None:
    result = play(policy.request(policy.playbook("- no_such_module: {}"))).result
    assert (result.rc, result.outcome) == (4, Outcome.FAILED)
    assert "no_such_module" in result.reason


def test_an_unreachable_target_is_a_failure(policy: Policy, play: Play) -> None:
    tasks = "- ansible.builtin.ping:\n  vars: {ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 1}"
    result = play(policy.request(policy.playbook(tasks))).result
    assert result.outcome is Outcome.FAILED
    assert result.recap["checkout"].unreachable == 1


def test_a_prompt_does_not_wait_for_the_deadline(policy: Policy, play: Play) -> None:
    playbook = policy.playbook("- ansible.builtin.pause: {prompt: Go on?}\n- ansible.builtin.debug: {msg: done}")
    assert play(policy.request(playbook, timeout=20)).result.outcome is not Outcome.TIMED_OUT


def test_the_deadline_stops_even_a_stubborn_module(policy: Policy) -> None:
    request = policy.request(policy.playbook(STUBBORN), timeout=5)

    async def scene() -> RunResult:
        result = await execute(request, policy.directory(request), on_events=ignore)
        assert_nothing_left(policy, request)
        await assert_stands_still(policy.root / "counter")
        return result

    result = asyncio.run(scene())
    assert result.outcome is Outcome.TIMED_OUT
    assert "5 s" in result.reason


def test_a_cancelled_run_leaves_nothing(policy: Policy) -> None:
    request = policy.request(policy.playbook(STUBBORN))

    async def scene() -> RunResult:
        cancel = asyncio.Event()
        run = asyncio.create_task(execute(request, policy.directory(request), on_events=ignore, cancel=cancel))
        await until((policy.root / "counter").exists)
        cancel.set()
        result = await run
        assert_nothing_left(policy, request)
        await assert_stands_still(policy.root / "counter")
        return result

    assert asyncio.run(scene()).outcome is Outcome.CANCELLED


def test_a_run_that_is_cancelled_before_its_start_never_starts(policy: Policy) -> None:
    request = policy.request(policy.playbook(STUBBORN))

    async def scene() -> RunResult:
        cancel = asyncio.Event()
        cancel.set()
        return await execute(request, policy.directory(request), on_events=ignore, cancel=cancel)

    assert asyncio.run(scene()).outcome is Outcome.CANCELLED
    assert not (policy.root / "counter").exists()
    assert_nothing_left(policy, request)


def test_when_the_callers_task_is_cancelled_nothing_is_left(policy: Policy) -> None:
    request = policy.request(policy.playbook(STUBBORN))

    async def scene() -> None:
        run = asyncio.create_task(execute(request, policy.directory(request), on_events=ignore))
        await until((policy.root / "counter").exists)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert_nothing_left(policy, request)
        await assert_stands_still(policy.root / "counter")

    asyncio.run(scene())


def test_when_events_cannot_be_stored_the_run_stops_with_that_error(policy: Policy) -> None:
    class FenceLost(Exception):
        """Another worker has taken over."""

    request = policy.request(policy.playbook(STUBBORN))

    async def refuse(_events: Sequence[RunEvent]) -> None:
        await until((policy.root / "counter").exists)
        raise FenceLost

    async def scene() -> None:
        with pytest.raises(FenceLost):
            await execute(request, policy.directory(request), on_events=refuse)
        assert_nothing_left(policy, request)
        await assert_stands_still(policy.root / "counter")

    asyncio.run(scene())


def test_a_slow_store_gets_every_event_in_order(policy: Policy) -> None:
    tasks = "- ansible.builtin.debug: {msg: '{{ item }}'}\n  loop: '{{ range(50) | list }}'"
    request = policy.request(policy.playbook(tasks))
    counters: list[int] = []

    async def store_slowly(events: Sequence[RunEvent]) -> None:
        await asyncio.sleep(0.4)
        counters.extend(event.counter for event in events)

    asyncio.run(execute(request, policy.directory(request), on_events=store_slowly))
    assert len(counters) > 50
    assert counters == list(range(1, len(counters) + 1))


def test_events_that_nobody_takes_are_dropped_with_a_note(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = "- ansible.builtin.debug: {msg: '{{ item }}'}\n  loop: '{{ range(50) | list }}'"
    playbook = policy.playbook(tasks)
    whole: list[RunEvent] = []

    async def store(batch: Sequence[RunEvent]) -> None:
        whole.extend(batch)

    request = policy.request(playbook)
    asyncio.run(execute(request, policy.directory(request), on_events=store))

    monkeypatch.setattr("ims.runs.supervision.execution.MAX_WAITING", 10)
    request = policy.request(playbook)
    events: list[RunEvent] = []

    async def store_at_the_end(batch: Sequence[RunEvent]) -> None:
        await until(lambda: not marked(request.run_id))
        events.extend(batch)

    result = asyncio.run(execute(request, policy.directory(request), on_events=store_at_the_end))
    assert result.outcome is Outcome.SUCCEEDED
    assert [event.counter for event in events] == list(range(1, len(events) + 1))
    # A note stands where the events are missing: in the middle, too, if some came between two batches and some after.
    notes = [event for event in events if event.kind == NOTE]
    dropped = [int(count) for note in notes for count in re.findall(r"(\d+) events were dropped", note.stdout)]
    assert len(dropped) == len(notes) > 0
    assert len(events) - len(notes) + sum(dropped) == len(whole)


def test_programs_that_a_playbook_leaves_behind_are_stopped_and_named(policy: Policy, play: Play) -> None:
    tasks = """
    - ansible.builtin.shell:
        cmd: "{{ item }} sh -c 'while :; do echo line >> counter; sleep 0.02; done' </dev/null >/dev/null 2>&1 &"
        chdir: "{{ playbook_dir }}"
      loop: [setsid, env -i setsid]
    - ansible.builtin.wait_for: {path: "{{ playbook_dir }}/counter"}
    """
    result = play(policy.request(policy.playbook(tasks))).result
    assert result.outcome is Outcome.SUCCEEDED
    assert result.left_behind.count("sh") == 2
    assert "were stopped: " in result.reason
    asyncio.run(assert_stands_still(policy.root / "counter"))


def test_long_output_is_cut_with_a_note(policy: Policy, play: Play) -> None:
    execution = play(policy.request(policy.playbook("- ansible.builtin.debug: {msg: \"{{ 'x' * 100000 }}\"}")))
    assert execution.result.outcome is Outcome.SUCCEEDED
    ok = next(event for event in execution.events if event.kind == "runner_on_ok")
    assert MAX_STDOUT < len(ok.stdout) < MAX_STDOUT + 100
    assert "[cut: " in ok.stdout


def test_the_same_run_is_not_started_twice(policy: Policy) -> None:
    request = policy.request(policy.playbook(STUBBORN))
    policy.directory(request).mkdir()
    with pytest.raises(RunDenied):
        asyncio.run(execute(request, policy.directory(request), on_events=ignore))
    assert policy.directory(request).exists()


def test_a_run_is_not_started_from_a_thread_that_may_end_before_it(policy: Policy) -> None:
    request = policy.request(policy.playbook(STUBBORN))
    errors: list[BaseException] = []

    def start() -> None:
        try:
            asyncio.run(execute(request, policy.directory(request), on_events=ignore))
        except RunDenied as error:
            errors.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert len(errors) == 1


@pytest.mark.parametrize("limit", ["!z", "all", "~check.*", "@hosts.txt", "unknown", "services"])
def test_a_limit_that_is_no_exact_host_is_refused(limit: str, policy: Policy) -> None:
    fields: dict[str, Any] = {"limit": limit, "hosts": HOSTS | ({limit} if limit != "unknown" else set())}
    with pytest.raises(RunDenied):
        policy.request(policy.playbook(STUBBORN), **fields)
