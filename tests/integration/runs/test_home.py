"""Where a run finds what `~` names: in the home of the account, as ansible-playbook by hand does, and as the check."""

import asyncio
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import pytest

from ims.policy.revision import make_revision
from ims.runs.events import RunEvent
from ims.runs.recap import Outcome, RunResult
from ims.runs.request import RunRequest
from ims.runs.supervision.execution import execute
from tests.integration.runs.conftest import Execution, Policy, assert_nothing_left, until

Play = Callable[[RunRequest], Execution]

ACCOUNT_HOME = Path(pwd.getpwuid(os.getuid()).pw_dir)
SAYS_HOME = "{{ '~/key' | expanduser }} {{ lookup('ansible.builtin.env', 'HOME') }}"
MODULE = """
from ansible.module_utils.basic import AnsibleModule
AnsibleModule({}).exit_json(said="hello")
"""


@pytest.fixture
def at_home() -> Iterator[Path]:
    """A directory in the home of the account."""
    directory = ACCOUNT_HOME / f".ims-test-{uuid4().hex}"
    directory.mkdir(mode=0o700)
    yield directory
    shutil.rmtree(directory)


def test_a_tilde_means_the_same_home_when_the_policy_is_checked_and_in_a_run(
    policy: Policy, play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # ssh, and Ansible for the results of a task with async, do not ask HOME either.
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = f"{ACCOUNT_HOME}/key {ACCOUNT_HOME}"
    (policy.root / "inventory/host_vars").mkdir()
    (policy.root / "inventory/host_vars/checkout.yml").write_text(f'description: "{SAYS_HOME}"\n')
    checked = make_revision(policy.root, "inventory", environment=os.environ).policy
    assert checked.services["checkout"].description == expected
    execution = play(policy.request(policy.playbook('- ansible.builtin.debug: {msg: "{{ description }}"}')))
    assert expected in execution.log


@pytest.mark.parametrize("name", ["PATH", "LANG", "ANSIBLE_CONFIG", "ANSIBLE_INVENTORY_ENABLED"])
def test_what_a_lookup_sees_of_the_environment_is_the_same_in_both(policy: Policy, play: Play, name: str) -> None:
    (policy.root / "ansible.cfg").write_text("[defaults]\nhost_key_checking = true\n")
    (policy.root / "inventory/host_vars").mkdir()
    says = f"{{{{ lookup('ansible.builtin.env', '{name}') | basename }}}}"
    (policy.root / "inventory/host_vars/checkout.yml").write_text(f'description: "{says}"\n')
    checked = make_revision(policy.root, "inventory", environment={name: "/somewhere/else"}).policy
    execution = play(policy.request(policy.playbook('- ansible.builtin.debug: {msg: "is {{ description }}"}')))
    assert f"is {checked.services['checkout'].description}" in execution.log


def test_a_task_with_async_on_a_local_connection_is_waited_for(policy: Policy, play: Play) -> None:
    tasks = """
    - ansible.builtin.command: {argv: [sleep, "0.2"]}
      async: 30
      poll: 1
    - ansible.builtin.command: {argv: [sleep, "0.2"]}
      async: 30
      poll: 0
      register: job
    - ansible.builtin.async_status: {jid: "{{ job.ansible_job_id }}"}
      register: result
      until: result is finished
      retries: 50
      delay: 0.1
    - ansible.builtin.async_status: {jid: "{{ job.ansible_job_id }}", mode: cleanup}
    """
    execution = play(policy.request(policy.playbook(tasks)))
    assert execution.result.outcome is Outcome.SUCCEEDED, execution.log


def test_a_vault_password_file_in_the_home_opens_what_the_check_opens(
    policy: Policy, play: Play, at_home: Path
) -> None:
    password = at_home / "vault-password"
    password.write_text("only for tests")
    program = Path(sys.executable).with_name("ansible-vault")
    encrypted = subprocess.run(
        [program, "encrypt_string", "--vault-password-file", password, "--name", "description", "swordfish"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=60, cwd=at_home,
        env={"PATH": os.environ["PATH"], "HOME": str(at_home), "LC_ALL": "C.UTF-8"},
    ).stdout  # fmt: skip
    (policy.root / "inventory/host_vars").mkdir()
    (policy.root / "inventory/host_vars/checkout.yml").write_text(encrypted)
    (policy.root / "ansible.cfg").write_text(f"[defaults]\nvault_password_file = ~/{at_home.name}/vault-password\n")
    checked = make_revision(policy.root, "inventory", environment={}).policy
    assert checked.services["checkout"].description == "swordfish"
    execution = play(policy.request(policy.playbook('- ansible.builtin.debug: {msg: "{{ description }}"}')))
    assert "swordfish" in execution.log


def test_collections_that_the_account_has_installed_are_found_by_both(policy: Policy, play: Play) -> None:
    name = f"ims_test_{uuid4().hex}"
    collection = ACCOUNT_HOME / ".ansible/collections/ansible_collections" / name
    module = collection / "tools/plugins/modules/say.py"
    module.parent.mkdir(parents=True)
    module.write_text(MODULE)
    (policy.root / "playbooks").mkdir()
    playbook = policy.playbook(f"- {name}.tools.say:\n", name="playbooks/say.yml")
    (policy.root / "inventory/group_vars").mkdir()
    (policy.root / "inventory/group_vars/all.yml").write_text(
        f"healing_rules: [{{name: say, match: {{alertname: X}}, playbook: {playbook}}}]\n"
    )
    try:
        assert make_revision(policy.root, "inventory", environment={}).policy.healing_rules
        execution = play(policy.request(playbook))
    finally:
        shutil.rmtree(collection)
    assert execution.result.outcome is Outcome.SUCCEEDED, execution.log


def test_plugins_beside_site_yml_by_which_the_inventory_is_written_are_found_by_both(
    policy: Policy, play: Play
) -> None:
    (policy.root / "filter_plugins").mkdir()
    (policy.root / "filter_plugins/loud.py").write_text(
        "class FilterModule:\n    def filters(self): return {'loud': str.upper}\n"
    )
    (policy.root / "inventory/host_vars").mkdir()
    (policy.root / "inventory/host_vars/checkout.yml").write_text("description: \"{{ 'shop' | loud }}\"\n")
    (policy.root / "playbooks").mkdir()
    playbook = policy.playbook('- ansible.builtin.debug: {msg: "{{ description }}"}', name="playbooks/say.yml")
    assert make_revision(policy.root, "inventory", environment={}).policy.services["checkout"].description == "SHOP"
    assert "SHOP" in play(policy.request(playbook)).log


def test_a_program_in_the_path_of_the_shell_alone_is_found_by_neither(
    policy: Policy, play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin/secret-store"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    says = "{{ lookup('ansible.builtin.pipe', 'secret-store || echo missing', errors='ignore') }}"
    (policy.root / "inventory/host_vars").mkdir()
    (policy.root / "inventory/host_vars/checkout.yml").write_text(f'description: "is {says}"\n')
    assert make_revision(policy.root, "inventory", environment=os.environ).policy.services["checkout"].description == (
        "is missing"
    )
    assert (
        "is missing" in play(policy.request(policy.playbook('- ansible.builtin.debug: {msg: "{{ description }}"}'))).log
    )


def test_a_killed_module_leaves_no_copy_of_itself_and_those_of_others_stay(policy: Policy) -> None:
    copies = ACCOUNT_HOME / ".ansible/tmp"
    copies.mkdir(parents=True, exist_ok=True)
    of_another = copies / f"ansible-tmp-99999999999.0-{os.getpid()}-1"
    of_another.mkdir()
    before = set(copies.iterdir())
    seen: set[Path] = set()
    (policy.root / "ansible.cfg").write_text("[connection]\npipelining = false\n")
    playbook = policy.playbook("- ansible.builtin.command: {argv: [sleep, '60']}")
    request = policy.request(playbook, timeout=30)

    async def scene() -> RunResult:
        cancel = asyncio.Event()

        async def keep(_events: Sequence[RunEvent]) -> None:
            """Take a batch."""

        async def cancel_in_the_module() -> None:
            await until(lambda: any(list(path.iterdir()) for path in set(copies.iterdir()) - before))
            seen.update(set(copies.iterdir()) - before)
            await asyncio.sleep(0.5)
            cancel.set()

        watching = asyncio.create_task(cancel_in_the_module())
        result = await execute(request, policy.directory(request), on_events=keep, cancel=cancel)
        await watching
        return result

    try:
        assert asyncio.run(scene()).outcome is Outcome.CANCELLED
        assert seen
        assert not [path for path in seen if path.exists()]
        assert of_another.exists()
    finally:
        of_another.rmdir()
    assert_nothing_left(policy, request)
