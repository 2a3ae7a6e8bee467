"""What ansible-core does that one would not expect, with the outcome that IMS decided: the same on 2.19 and 2.21.

docs/how-it-heals.md has the table for people.
"""

from collections.abc import Callable

import pytest

from ims.runs.recap import Outcome
from ims.runs.request import RunRequest
from tests.integration.runs.conftest import Execution, Policy

Play = Callable[[RunRequest], Execution]

SOCKET = """
- name: Open a socket as deep below TMPDIR as Ansible does
  ansible.builtin.command:
    argv:
      - "{{ ansible_playbook_python }}"
      - -c
      - |
        import os, pathlib, socket
        place = pathlib.Path(os.environ["TMPDIR"]) / "pymp-12345678"
        place.mkdir()
        socket.socket(socket.AF_UNIX).bind(str(place / "listener-12345678"))
"""


def test_a_run_in_a_deep_directory_has_room_for_sockets(policy: Policy, play: Play) -> None:
    # Since 2.21 ansible-playbook itself opens one before its first task: without room it ends with 250 and no recap.
    assert len(str(policy.runs)) > 40
    result = play(policy.request(policy.playbook(SOCKET))).result
    assert (result.outcome, result.rc) == (Outcome.SUCCEEDED, 0), result.reason


def test_an_include_that_names_nothing_is_a_failure_even_when_it_is_rescued(policy: Policy, play: Play) -> None:
    # The recap counts it as failed and not as rescued, with exit code 0: its author should hear of the missing file.
    tasks = """
    - block:
        - ansible.builtin.include_tasks: nothing.yml
      rescue:
        - ansible.builtin.debug: {msg: rescued}
    """
    result = play(policy.request(policy.playbook(tasks))).result
    assert (result.rc, result.outcome) == (0, Outcome.FAILED)
    assert (result.recap["checkout"].failures, result.recap["checkout"].rescued) == (1, 0)


def test_a_target_that_never_answered_has_failed_even_if_that_is_ignored(policy: Policy, play: Play) -> None:
    # The recap counts an ignored unreachable host as ok.
    tasks = """
    - ansible.builtin.ping:
      ignore_unreachable: true
      vars: {ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 1}
    """
    result = play(policy.request(policy.playbook(tasks))).result
    assert result.recap["checkout"].unreachable == 0
    assert result.outcome is Outcome.FAILED
    assert result.reason == "checkout could not be reached, and no task succeeded on it."


def test_a_target_that_answered_at_last_has_not_failed(policy: Policy, play: Play) -> None:
    tasks = """
    - ansible.builtin.ping:
      ignore_unreachable: true
      vars: {ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 1}
    - ansible.builtin.command: {argv: ["true"]}
      loop: [1, 2]
    """
    assert play(policy.request(policy.playbook(tasks))).result.outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    "task",
    [
        "ansible.builtin.debug: {msg: all is done}",
        "set_fact: {restarted: true}",
        "ansible.builtin.command: {argv: ['true']}\n  delegate_to: billing",
        "ansible.builtin.command: {argv: ['true']}\n  delegate_to: billing\n  loop: [1, 2]",
    ],
    ids=["debug", "set_fact", "delegated", "delegated-loop"],
)
def test_a_task_that_asks_nothing_of_the_target_does_not_show_that_it_answered(
    task: str, policy: Policy, play: Play
) -> None:
    tasks = f"""
- ansible.builtin.ping:
  ignore_unreachable: true
  vars: {{ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 1}}
- {task}
"""
    result = play(policy.request(policy.playbook(tasks))).result
    assert (result.rc, result.outcome) == (0, Outcome.FAILED), result.reason


def test_unreachable_that_is_cleared_has_failed_in_spite_of_exit_code_0(policy: Policy, play: Play) -> None:
    tasks = """
    - ansible.builtin.ping:
      vars: {ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 1}
    - ansible.builtin.meta: clear_host_errors
    """
    result = play(policy.request(policy.playbook(tasks))).result
    assert result.outcome is Outcome.FAILED
    assert result.recap["checkout"].unreachable == 1


def test_a_missing_vars_file_is_stale(policy: Policy, play: Play) -> None:
    header = "hosts: services\n  vars_files: [missing.yml]"
    playbook = policy.playbook("- ansible.builtin.debug: {msg: hello}", header=header)
    result = play(policy.request(playbook)).result
    # Ansible does not report it: the task that uses one of its variables fails.
    assert result.outcome is Outcome.SUCCEEDED


def test_include_vars_says_why_it_failed(policy: Policy, play: Play) -> None:
    # Its reason is in `message`, where every other module has `msg`.
    result = play(policy.request(policy.playbook("- ansible.builtin.include_vars: {file: missing.yml}"))).result
    assert result.outcome is Outcome.FAILED
    assert result.failed_task is not None
    assert "missing.yml" in result.failed_task.message


def test_whether_a_task_with_no_log_changed_something_is_unknown(policy: Policy, play: Play) -> None:
    tasks = """
    - name: Secret
      ansible.builtin.command: {argv: ["true"]}
      no_log: true
    - name: Plain
      ansible.builtin.command: {argv: ["true"]}
    """
    execution = play(policy.request(policy.playbook(tasks)))
    data = {event.task: event.data for event in execution.events if event.kind == "runner_on_ok"}
    assert "changed" not in data["Secret"]
    assert data["Plain"]["changed"] is True


def test_an_undefined_handler_is_a_failure_that_names_it(policy: Policy, play: Play) -> None:
    # ansible-playbook ends without a recap.
    tasks = """
    - ansible.builtin.command: {argv: ["true"]}
      notify: Restart nothing
    """
    result = play(policy.request(policy.playbook(tasks))).result
    assert result.outcome is Outcome.FAILED
    assert "Restart nothing" in result.reason
