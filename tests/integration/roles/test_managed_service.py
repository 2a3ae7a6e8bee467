"""The role `managed_service`, each state, by the real Ansible at a real supervisord."""

import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from ims.policy.platforms import platforms_of

ROOT = Path(__file__).parents[3]
PROGRAMS = Path(sys.executable).parent
COMMAND = ["/bin/sleep", "86400"]
SECONDS = 120


@dataclass(frozen=True)
class Played:
    """What a playbook with the role did: its exit code, its recap, what it printed."""

    code: int
    output: str

    def count(self, kind: str) -> int:
        """The figure of a kind, such as `changed`, in the recap."""
        found = re.search(rf"\b{kind}=(\d+)", self.output)
        assert found is not None, self.output
        return int(found[1])

    @property
    def changed(self) -> int:
        assert self.code == 0, self.output
        return self.count("changed")


@dataclass(frozen=True)
class Machine:
    """A state directory in which the role keeps a supervisord, and the roles it is taken from."""

    directory: Path
    roles: Path = ROOT / "roles"

    def bring(self, unit: str, state: str, **variables: Any) -> Played:
        """Include the role as playbooks do, and print what it registered."""
        given = {"managed_service_name": unit, "managed_service_state": state}
        given |= {f"managed_service_{name}": value for name, value in variables.items()}
        printed = {"msg": "said: {{ managed_service_status.status | default('nothing') }}"}
        play = {
            "hosts": "all",
            "gather_facts": state == "ready",
            "tasks": [
                {"ansible.builtin.include_role": {"name": "managed_service"}, "vars": given},
                {"ansible.builtin.debug": printed, "when": state in ("restarted", "status")},
            ],
        }
        playbook = self.directory / "playbook.yml"
        playbook.write_text(yaml.safe_dump([play]))
        done = subprocess.run(
            [PROGRAMS / "ansible-playbook", playbook, "-i", self.inventory()],
            cwd=self.directory, env=self.environment(), text=True, check=False, timeout=SECONDS,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return Played(done.returncode, done.stdout)

    def inventory(self) -> Path:
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ims_state_dir": str(self.directory),
            "ims_runtime_dir": str(self.directory),
            "ims_user": pwd.getpwuid(os.getuid()).pw_name,
        }
        path = self.directory / "hosts.yml"
        path.write_text(yaml.safe_dump({"all": {"hosts": {"local": variables}}}))
        return path

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_ROLES_PATH": str(self.roles),
        }

    def status(self, unit: str) -> tuple[str, int | None]:
        """What supervisord itself says of a program: its state, and its process if it runs."""
        done = subprocess.run(
            [PROGRAMS / "supervisorctl", "-c", self.directory / "supervisor/supervisord.conf", "status", unit],
            text=True, capture_output=True, check=False, timeout=SECONDS,
        )  # fmt: skip
        words = done.stdout.split()
        pid = re.search(r"pid (\d+)", done.stdout)
        return words[1], int(pid[1]) if pid else None

    def end(self) -> None:
        """Kill what carries this directory as its mark, supervisord before its programs, and delete the directory."""
        ours = [process for process in psutil.process_iter() if carries(process, str(self.directory))]
        for process in sorted(ours, key=lambda process: process.pid):
            process.kill()
        psutil.wait_procs(ours, timeout=10)
        shutil.rmtree(self.directory)


def carries(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get("IMS_INSTANCE") == mark
    except psutil.Error:
        return False


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """A machine whose platform `supervisor` the role has made ready."""
    # Not below pytest's own directory: the path of a socket is short.
    machine = Machine(Path(tempfile.mkdtemp(prefix="ims-role-")))
    try:
        for name in ("supervisor/conf.d", "logs"):
            (machine.directory / name).mkdir(parents=True)
        assert machine.bring("", "ready").changed == 2
        yield machine
    finally:
        machine.end()


def test_a_platform_that_is_ready_is_left_alone(machine: Machine) -> None:
    machine.bring("bystander", "started", command=COMMAND)
    before = machine.status("bystander")
    assert before[0] == "RUNNING"
    assert machine.bring("", "ready").changed == 0
    assert machine.status("bystander") == before


def test_present_defines_a_program_and_does_not_start_it(machine: Machine) -> None:
    assert machine.bring("checkout", "present", command=COMMAND).changed == 2
    assert machine.status("checkout") == ("STOPPED", None)
    assert machine.bring("checkout", "present", command=COMMAND).changed == 0


def test_present_without_a_command_is_refused(machine: Machine) -> None:
    played = machine.bring("nothing", "present")
    assert played.count("failed") == 1
    assert not (machine.directory / "supervisor/conf.d/nothing.conf").exists()


def test_started_defines_and_starts_and_a_changed_definition_restarts_that_program_alone(machine: Machine) -> None:
    assert machine.bring("payment", "started", command=COMMAND).changed == 3
    state, first = machine.status("payment")
    assert (state, first is None) == ("RUNNING", False)
    assert machine.bring("payment", "started", command=COMMAND).changed == 0
    machine.bring("ledger", "started", command=COMMAND)
    ledger = machine.status("ledger")
    machine.bring("payment", "started", command=COMMAND, environment={"COLOUR": "green"})
    state, second = machine.status("payment")
    assert state == "RUNNING"
    assert second is not None
    assert second != first
    assert psutil.Process(second).environ()["COLOUR"] == "green"
    assert machine.status("ledger") == ledger


def test_stopped_restarted_and_status_act_on_what_is_defined(machine: Machine) -> None:
    machine.bring("basket", "started", command=COMMAND)
    first = machine.status("basket")
    restarted = machine.bring("basket", "restarted")
    assert (restarted.changed, "said: RUNNING" in restarted.output) == (1, True)
    second = machine.status("basket")
    assert second[0] == "RUNNING"
    assert second[1] != first[1]

    assert machine.bring("basket", "stopped").changed == 1
    assert machine.status("basket") == ("STOPPED", None)
    assert machine.bring("basket", "stopped").changed == 0

    status = machine.bring("basket", "status")
    assert (status.changed, "said: STOPPED" in status.output) == (0, True)

    assert machine.bring("basket", "started").changed == 1
    assert machine.status("basket")[0] == "RUNNING"


@pytest.mark.parametrize("state", ["started", "stopped", "restarted"])
def test_what_is_not_defined_fails_and_says_so(machine: Machine, state: str) -> None:
    played = machine.bring("phantom", state)
    assert played.count("failed") == 1
    assert "supervisord has no program phantom." in played.output


def test_the_status_of_what_is_not_defined_is_absent(machine: Machine) -> None:
    status = machine.bring("phantom", "status")
    assert (status.changed, "said: ABSENT" in status.output) == (0, True)


def test_a_platform_without_tasks_is_refused_with_those_there_are(machine: Machine) -> None:
    played = machine.bring("checkout", "restarted", platform="kubernetes")
    assert played.count("failed") == 1
    assert "platform kubernetes must be one of supervisor," in " ".join(played.output.split())


def test_a_platform_is_added_by_adding_files(machine: Machine, tmp_path: Path) -> None:
    role = tmp_path / "roles/managed_service"
    shutil.copytree(ROOT / "roles/managed_service", role)
    (role / "defaults/main/paper_tape.yml").write_text(f"managed_service_paper_tape_reel: {tmp_path}/reel\n")
    (role / "tasks/platforms/paper_tape.yml").write_text(
        "- ansible.builtin.copy:\n"
        '    dest: "{{ managed_service_paper_tape_reel }}"\n'
        '    content: "{{ managed_service_unit }} {{ managed_service_state }}"\n'
        '    mode: "0600"\n'
    )
    files = {str(path.relative_to(tmp_path)) for path in role.rglob("*")}
    assert platforms_of(files) == ["paper_tape", "supervisor"]
    played = Machine(machine.directory, tmp_path / "roles").bring("checkout", "restarted", platform="paper_tape")
    assert played.changed == 1
    assert (tmp_path / "reel").read_text() == "checkout restarted"
