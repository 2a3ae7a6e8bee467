"""`ims.core.instance_processes` and `free_ports`: what belongs to an installation, and what only has the same path."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.installation import ROOT
from tests.support.postgres import free_port

LISTEN = (
    "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); print(flush=True);"
    "time.sleep(60)"
)


class Programs:
    """Programs with the mark of a state directory."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, port: int, *, elsewhere: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """One that listens on a port; `elsewhere` are namespaces of its own."""
        # Only what is inside has the mark, not the program that makes the namespaces.
        command = ["env", f"IMS_INSTANCE={self.state}", sys.executable, "-c", LISTEN, str(port)]
        if elsewhere:
            mount = f"mount -t tmpfs none {self.state} && " if "--mount" in elsewhere else ""
            own = ["unshare", *elsewhere, *([] if os.geteuid() == 0 else ["--map-root-user"])]
            command = [*own, "sh", "-c", f'{mount} exec "$@"', "sh", *command]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        self.started.append(process)
        assert process.stdout is not None
        with process.stdout as ready:
            assert ready.readline() == b"\n"
        return process


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    programs = Programs(tmp_path)
    yield programs
    for process in programs.started:
        process.kill()
        process.wait()


def module(name: str, **arguments: Any) -> dict[str, Any]:
    """The answer of a module of the collection."""
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible", "localhost", "-i", "localhost,", "-c", "local",
         "-m", f"ims.core.{name}", "-a", json.dumps(arguments), "-e", f"ansible_python_interpreter={sys.executable}"],
        env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
                          "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.json"},
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    try:
        found: dict[str, Any] = json.loads(done.stdout)["plays"][0]["tasks"][0]["hosts"]["localhost"]
    except ValueError:
        raise AssertionError(done.stdout + done.stderr) from None
    return found


@pytest.mark.parametrize("elsewhere", [("--mount",), ("--pid", "--fork", "--kill-child")])
def test_an_installation_ends_its_own_processes_and_none_of_one_with_the_same_path(
    programs: Programs, elsewhere: tuple[str, ...]
) -> None:
    ports = [free_port(), free_port()]
    own, other = programs.start(ports[0]), programs.start(ports[1], elsewhere=elsewhere)
    answer = module("instance_processes", mark=str(programs.state), state="absent", grace=2)
    assert answer["changed"], answer
    assert own.wait(5) is not None
    assert other.poll() is None
    assert module("instance_processes", mark=str(programs.state))["processes"] == []
    # Its port is not ours, either.
    taken = module("free_ports", mark=str(programs.state), ports={"ims_web_port": ports[1]})
    assert taken["failed"], taken
    assert "ims_web_port" in taken["taken"][0]


def test_processes_of_a_state_directory_that_is_gone_are_found(programs: Programs) -> None:
    port = free_port()
    own = programs.start(port)
    programs.state.rmdir()
    assert module("free_ports", mark=str(programs.state), ports={"ims_web_port": port})["taken"] == []
    assert module("instance_processes", mark=str(programs.state), state="absent", grace=2)["changed"]
    assert own.wait(5) is not None
