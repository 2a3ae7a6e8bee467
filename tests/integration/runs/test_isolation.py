"""What comes from outside is never evaluated, and what is secret never leaks."""

import asyncio
import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ims.runs.events import RunEvent
from ims.runs.processes import Process
from ims.runs.recap import Outcome
from ims.runs.request import RunRequest
from ims.runs.supervision.execution import execute
from tests.integration.runs.conftest import Execution, Policy, marked

Play = Callable[[RunRequest], Execution]

SECRET = "hunter2-of-the-worker"

# Uses an alert in every way that playbooks do.
USES = """
- name: "Look at {{ alert.labels.value }}"
  ansible.builtin.debug: {var: alert}
- ansible.builtin.debug: {msg: "{{ alert.labels.value }} {{ alert.annotations.summary }} {{ parameter }}"}
- ansible.builtin.debug: {msg: "{{ item.key }} is {{ item.value }}"}
  loop: "{{ alert.labels | dict2items }}"
- ansible.builtin.debug: {msg: "{{ item }}"}
  loop: "{{ alert.nested.list }}"
- ansible.builtin.set_fact:
    remembered: "{{ alert.nested.deep.value }}"
    key: "{{ alert.labels.keys() | first }}"
- ansible.builtin.command: {argv: [echo, "{{ remembered }}", "{{ key }}", "{{ indirect }}"]}
  vars: {indirect: "{{ alert.labels.value }}"}
  when: alert.labels.value != remembered ~ 'x'
- ansible.builtin.copy:
    content: "{{ alert | to_nice_json }} {{ parameter }}"
    dest: "{{ playbook_dir }}/written"
    mode: "0600"
"""


def alert(evil: str) -> dict[str, Any]:
    return {
        evil: evil,
        "labels": {evil: evil, "value": evil},
        "annotations": {"summary": evil},
        "nested": {"list": [evil, [evil]], "deep": {"value": evil, "__ansible_unsafe": evil}},
    }


class Trusting(RunRequest):
    """A request that forgets to mark what comes from outside."""

    def extra_vars(self) -> dict[str, Any]:
        return {**self.parameters, "alert": dict(self.alert)}


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    return tmp_path / "sprung"


@pytest.fixture
def evil(trap: Path) -> str:
    return "{{ lookup('pipe', 'touch TRAP') }}".replace("TRAP", str(trap))


def test_a_template_in_any_place_of_an_alert_stays_text(policy: Policy, play: Play, trap: Path, evil: str) -> None:
    request = policy.request(policy.playbook(USES), alert=alert(evil), parameters={"parameter": evil})
    execution = play(request)
    assert execution.result.outcome is Outcome.SUCCEEDED, execution.log
    assert not trap.exists()
    assert evil in (policy.root / "written").read_text()


def test_the_same_playbook_would_spring_the_trap_without_the_marks(
    policy: Policy, play: Play, trap: Path, evil: str
) -> None:
    request = policy.request(policy.playbook(USES), alert=alert(evil), parameters={"parameter": evil})
    play(Trusting(**dict(request)))
    assert trap.exists()


def nested(depth: int) -> list[Any]:
    tree: list[Any] = []
    for _ in range(depth):
        tree = [tree]
    return tree


def test_nothing_makes_ansible_read_the_variables_as_yaml(policy: Policy, play: Play, trap: Path, evil: str) -> None:
    playbook = policy.playbook('- ansible.builtin.debug: {msg: "{{ alert.value }} {{ alert | to_json }}"}')
    poisons = {"surrogate": "\ud800", "not a number": float("nan"), "deep": nested(3_000)}
    execution = play(policy.request(playbook, alert={"value": evil} | poisons))
    assert execution.result.outcome is Outcome.SUCCEEDED, execution.log
    assert not trap.exists()


def token(data: dict[str, Any]) -> str:
    """Return what ansible-runner takes for the mark of an event in the output."""
    text = base64.b64encode(json.dumps(data).encode()).decode()
    return f"\x1b[K{text}\x1b[{len(text)}D\x1b[K"


def test_output_cannot_forge_an_event_or_name_a_file(policy: Policy, play: Play, tmp_path: Path) -> None:
    victim = tmp_path / "victim-partial.json"
    victim.write_text('{"event": "playbook_on_stats", "event_data": {"processed": {"forged": 1}}}')
    recap = {"processed": {"forged": 1}, "ok": {"forged": 1}}
    forged = token({"uuid": "1", "event": "playbook_on_stats", "event_data": recap})
    forged += token({"uuid": "../" * 20 + str(victim)[1:].removesuffix("-partial.json")})
    (policy.root / "forged").write_text(forged)
    tasks = """
    - name: "{{ lookup('ansible.builtin.file', 'forged') }}"
      ansible.builtin.debug: {msg: hello}
    """
    execution = play(policy.request(policy.playbook(tasks), alert={"forged": forged}))
    assert victim.exists()
    assert set(execution.result.recap) == {"checkout"}
    assert not any("forged" in str(event.data.get("recap", "")) for event in execution.events)


def test_the_worker_s_environment_reaches_neither_playbook_nor_artifacts_nor_process_table(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMS_DATABASE_PASSWORD", SECRET)
    monkeypatch.setenv("ANSIBLE_HOST_KEY_CHECKING", "False")
    tasks = """
    - ansible.builtin.shell:
        cmd: |
          env > env.txt
          run=$(dirname "$ANSIBLE_CONFIG")
          grep -rsl 'hunter[2]' "$run" > leaks.txt
          stat -c '%a run' "$run" > modes.txt
          cd "$run" && stat -c '%a %n' *.json >> "$OLDPWD/modes.txt"
        chdir: "{{ playbook_dir }}"
    """
    request = policy.request(policy.playbook(tasks), environment={"IMS_STATE_DIR": "/state"})
    environments: list[dict[str, str]] = []

    async def look(_events: Sequence[RunEvent]) -> None:
        environments.extend(process.environment() for process in marked(request.run_id))

    result = asyncio.run(execute(request, policy.directory(request), on_events=look))
    assert result.outcome is Outcome.SUCCEEDED
    assert environments
    assert all(SECRET not in environment.values() for environment in environments)
    printed = (policy.root / "env.txt").read_text()
    assert SECRET not in printed
    assert "IMS_STATE_DIR=/state" in printed
    assert f"IMS_RUN_ID={request.run_id}" in printed
    # ansible-runner would turn it off, and the worker's own setting is not the policy's.
    assert "HOST_KEY_CHECKING" not in printed
    assert (policy.root / "leaks.txt").read_text() == ""
    modes = dict(line.split()[::-1] for line in (policy.root / "modes.txt").read_text().splitlines())
    assert (modes["run"], modes["extra_vars.json"], modes["spec.json"]) == ("700", "600", "600")


def command_line(process: Process) -> str:
    path = Path(f"/proc/{process.pid}/cmdline")
    return path.read_text() if path.exists() else ""


def test_values_of_an_alert_stay_out_of_the_process_table(policy: Policy) -> None:
    request = policy.request(policy.playbook("- ansible.builtin.pause: {seconds: 1}"), alert={"labels": {"a": SECRET}})
    seen: list[str] = []

    async def look(_events: Sequence[RunEvent]) -> None:
        seen.extend(command_line(process) for process in marked(request.run_id))

    asyncio.run(execute(request, policy.directory(request), on_events=look))
    assert any("ansible" in line or "ims.runs" in line for line in seen)
    assert all(SECRET not in line for line in seen)


def test_what_a_task_hides_appears_in_no_event(policy: Policy, play: Play) -> None:
    (policy.root / "secret").write_text(SECRET)
    tasks = """
    - name: Show
      ansible.builtin.command: {argv: [echo, "{{ lookup('ansible.builtin.file', 'secret') }}"]}
    - name: Hide
      ansible.builtin.command: {argv: [sh, -c, "echo {{ lookup('ansible.builtin.file', 'secret') }}; exit 1"]}
      no_log: true
    """
    execution = play(policy.request(policy.playbook(tasks)))
    assert execution.result.outcome is Outcome.FAILED
    assert SECRET not in str(execution.events)
    assert SECRET not in str(execution.result)
    assert "no_log" in str(execution.result.failed_task)


def test_the_policy_s_settings_hold_and_no_home_or_path_is_needed(
    policy: Policy, play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".ansible.cfg").write_text("[defaults]\ncallback_result_format = json\n")
    tmp_path.chmod(0o500)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PATH")
    (policy.root / "ansible.cfg").write_text("[defaults]\ncallback_result_format = yaml\n")
    playbook = policy.playbook("- ansible.builtin.command: {argv: [id]}\n- ansible.builtin.debug: {msg: [one, two]}")
    try:
        execution = play(policy.request(playbook))
    finally:
        tmp_path.chmod(0o700)
    assert execution.result.outcome is Outcome.SUCCEEDED, execution.log
    assert "- one" in execution.log
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == [".ansible.cfg"]
