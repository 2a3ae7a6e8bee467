"""Whether it is known how far a run came, in runs of real playbooks."""

import asyncio
import socket
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from ims.runs.events import RunEvent
from ims.runs.recap import Outcome
from ims.runs.request import RunRequest
from ims.runs.supervision.execution import execute
from tests.integration.runs.conftest import Execution, Policy

Play = Callable[[RunRequest], Execution]

# What the kernel does when the memory is used up.
KILLS_ITS_WORKER = """
- name: Restart
  ansible.builtin.shell:
    cmd: |
      echo restarted >> counter
      pid=$PPID
      until tr -d '\\0' < /proc/$pid/environ | grep -q IMS_RUN_ID && [ $(cut -d' ' -f6 /proc/$pid/stat) = $pid ]; do
        pid=$(cut -d' ' -f4 /proc/$pid/stat)
      done
      kill -9 $pid
      sleep 5
    chdir: "{{ playbook_dir }}"
"""

SSH = """#!{python}
import pathlib, subprocess, sys
cut = pathlib.Path({root!r}, "cut")
if cut.exists():
    sys.exit("ssh: connect to host checkout port 22: Connection refused") if cut.read_text() else sys.exit(255)
done = subprocess.run(["sh", "-c", sys.argv[-1]])
if cut.exists():
    print("Connection to checkout closed by remote host.", file=sys.stderr)
    sys.exit(255)
sys.exit(done.returncode)
"""


def test_a_killed_worker_process_of_ansible_is_no_failure_of_its_task(policy: Policy, play: Play) -> None:
    execution = play(policy.request(policy.playbook(KILLS_ITS_WORKER)))
    assert (policy.root / "counter").read_text() == "restarted\n"
    assert (execution.result.outcome, execution.result.cut_short, execution.result.rc) == (Outcome.UNKNOWN, True, 1)
    assert "'Restart' on checkout was started" in execution.result.reason


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("ansible.builtin.shell: kill -9 $$", "was killed by signal 9"),
        ("ansible.builtin.shell: sh -c 'kill -15 $$'; exit $?", "was killed by signal 15"),
        ("ansible.builtin.shell: kill -9 $PPID; sleep 5", "was killed by signal 9"),
        ("{ansible.builtin.command: sleep 20, timeout: 1}", "was stopped at its timeout"),
        ("{ansible.builtin.command: sleep 20, async: 1, poll: 1}", "did not end within its time for async"),
        ("{ansible.builtin.shell: 'kill -9 $$', loop: [1], ignore_errors: true}", "was killed by signal 9"),
    ],
)
def test_a_task_that_was_ended_in_the_middle_is_no_known_failure(
    policy: Policy, play: Play, task: str, words: str
) -> None:
    execution = play(policy.request(policy.playbook(f"- {task}\n- ansible.builtin.fail:")))
    assert (execution.result.outcome, execution.result.cut_short) == (Outcome.UNKNOWN, True), execution.log
    assert words in execution.result.reason


@pytest.mark.parametrize(
    "task",
    [
        "ansible.builtin.command: 'false'",
        "ansible.builtin.shell: exit 100",
        "ansible.builtin.command: nowhere",
        "{ansible.builtin.wait_for: {path: /nowhere, timeout: 1}}",
        "{ansible.builtin.command: 'false', async: 20, poll: 1}",
        "{ansible.builtin.command: 'false', no_log: true}",
    ],
)
def test_a_failure_that_a_module_reports_is_known(policy: Policy, play: Play, task: str) -> None:
    execution = play(policy.request(policy.playbook(f"- {task}")))
    assert (execution.result.outcome, execution.result.cut_short) == (Outcome.FAILED, False), execution.log


@pytest.mark.parametrize(("rest", "cut_short"), [("sleep 60", True), ("", False)])
def test_a_deadline_in_a_task_leaves_it_unknown_how_far_that_came(
    policy: Policy, play: Play, rest: str, cut_short: bool
) -> None:
    # Without the task, the deadline comes while a lookup between two tasks waits.
    task = f"ansible.builtin.command: {rest}" if rest else "ansible.builtin.debug: {msg: a}"
    execution = play(policy.request(policy.playbook(f"- {task}\n" if rest else BETWEEN), timeout=6))
    assert (execution.result.outcome, execution.result.cut_short) == (Outcome.TIMED_OUT, cut_short)


# A templated import is rendered before any task is started.
BETWEEN = """
- ansible.builtin.import_tasks: "{{ lookup('ansible.builtin.pipe', 'sleep 60') }}.yml"
"""


@pytest.fixture
def ssh(policy: Policy) -> Path:
    """Stands for ssh: executes on this machine until the file `cut` is there."""
    program = policy.root / "ssh"
    program.write_text(SSH.format(python=sys.executable, root=str(policy.root)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


@pytest.mark.parametrize("says", ["", "refused"])
def test_a_connection_that_is_lost_half_way_leaves_it_unknown_what_the_module_did(
    policy: Policy, play: Play, ssh: Path, says: str
) -> None:
    variables = f"{{ansible_connection: ssh, ansible_ssh_executable: '{ssh}', ansible_pipelining: true}}"
    tasks = f"""
    - ansible.builtin.command: {{argv: ["true"]}}
    - ansible.builtin.shell: printf '{says}' > cut
      args: {{chdir: "{{{{ playbook_dir }}}}"}}
    - ansible.builtin.ping:
    """
    execution = play(policy.request(policy.playbook(tasks, header=f"hosts: services\n  vars: {variables}")))
    assert (policy.root / "cut").exists()
    assert (execution.result.outcome, execution.result.cut_short) == (Outcome.UNKNOWN, True), execution.log
    assert "lost its connection" in execution.result.reason


def test_a_target_that_was_never_reached_is_a_known_failure(policy: Policy, play: Play, ssh: Path) -> None:
    (policy.root / "cut").write_text("refused")
    header = f"hosts: services\n  vars: {{ansible_connection: ssh, ansible_ssh_executable: '{ssh}'}}"
    execution = play(policy.request(policy.playbook("- ansible.builtin.ping:", header=header)))
    assert (execution.result.outcome, execution.result.cut_short) == (Outcome.FAILED, False), execution.log


@pytest.fixture
def mute_server() -> Iterator[int]:
    """A server that takes a request and closes the connection without an answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)

        thread = threading.Thread(target=take)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_a_request_without_an_answer_may_have_been_carried_out(policy: Policy, play: Play, mute_server: int) -> None:
    task = f'- ansible.builtin.uri: {{url: "http://127.0.0.1:{mute_server}/", method: POST, body: a}}'
    execution = play(policy.request(policy.playbook(task)))
    assert (execution.result.outcome, execution.result.cut_short) == (Outcome.UNKNOWN, True), execution.log


def test_a_run_that_is_cancelled_before_its_start_did_nothing(policy: Policy) -> None:
    request = policy.request(policy.playbook("- ansible.builtin.debug:"))

    async def ignore(_events: Sequence[RunEvent]) -> None:
        """Take a batch."""

    async def scene() -> bool:
        cancel = asyncio.Event()
        cancel.set()
        return (await execute(request, policy.directory(request), on_events=ignore, cancel=cancel)).cut_short

    assert asyncio.run(scene()) is False


@pytest.mark.parametrize(
    "task",
    [
        "{ansible.builtin.shell: 'sleep 60', async: 100, poll: 0}",
        "{ansible.builtin.command: sleep 60, async: 100, poll: 0, delegate_to: localhost}",
        "ansible.builtin.shell: nohup setsid sleep 60 >/dev/null 2>&1 &",
    ],
)
def test_what_a_run_leaves_behind_is_named(policy: Policy, play: Play, task: str) -> None:
    task = f"- {task}\n- ansible.builtin.command: sleep 1"
    execution = play(policy.request(policy.playbook(task)))
    assert execution.result.outcome is Outcome.SUCCEEDED
    assert "sleep" in execution.result.left_behind
