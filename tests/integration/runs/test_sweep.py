"""Processes that nobody looks after any more are found by their mark."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from ims.runs.processes import RUN_ID, SPEC, processes, this_process
from ims.runs.supervision.sweep import kill_orphans, kill_run, remove_orphaned_directories
from tests.support.workers import wait_until

INSTANCE = "sweep-test"
DEAD = "999999999.1"


class Left:
    """Programs with the mark of a run."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []

    def elsewhere(self, state: Path, run_id: UUID, *namespaces: str) -> subprocess.Popen[bytes]:
        """The orphan of another installation, whose state directory has the same path in namespaces of its own."""
        own = ["unshare", *namespaces, *([] if os.geteuid() == 0 else ["--map-root-user"])]
        mount = f"mount -t tmpfs none {state} && " if "--mount" in namespaces else ""
        # Only what is inside has the marks, not the program that makes the namespaces.
        marks = f"IMS_RUN_ID={run_id} IMS_RUN_OWNER={DEAD} IMS_INSTANCE={state}"
        process = subprocess.Popen(
            [*own, "sh", "-c", f"{mount} echo && exec env {marks} sleep 60"], stdout=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        self.processes.append(process)
        assert process.stdout is not None
        with process.stdout as ready:
            assert ready.readline() == b"\n"
        return process

    def behind(self, run_id: UUID, owner: str = DEAD, instance: str = INSTANCE) -> subprocess.Popen[bytes]:
        marks = {"IMS_RUN_ID": str(run_id), "IMS_RUN_OWNER": owner, "IMS_INSTANCE": instance}
        process = subprocess.Popen(["sleep", "60"], env=marks, start_new_session=True)
        self.processes.append(process)
        return process


@pytest.fixture
def left() -> Iterator[Left]:
    left = Left()
    yield left
    for process in left.processes:
        process.kill()
        process.wait()


def test_the_processes_of_one_run_are_killed_and_no_others(left: Left) -> None:
    run_id = uuid4()
    victims = [left.behind(run_id), left.behind(run_id)]
    other = left.behind(uuid4())
    swept = kill_run(run_id)
    assert swept.run_ids == {str(run_id)}
    assert swept.killed == ("sleep", "sleep")
    assert swept.survivors == ()
    assert [victim.wait(timeout=5) for victim in victims] == [-9, -9]
    assert other.poll() is None


def test_orphans_are_runs_of_this_instance_whose_worker_has_ended(left: Left) -> None:
    orphan = left.behind(uuid4())
    cared_for = left.behind(uuid4(), owner=this_process().mark())
    of_another_instance = left.behind(uuid4(), instance="another")
    # The number of a worker that has ended may belong to a new process.
    impostor = left.behind(uuid4(), owner=f"{os.getpid()}.1")
    assert kill_orphans(INSTANCE).killed == ("sleep", "sleep")
    assert (orphan.wait(timeout=5), impostor.wait(timeout=5)) == (-9, -9)
    assert cared_for.poll() is None
    assert of_another_instance.poll() is None


@pytest.mark.parametrize("namespaces", [("--mount",), ("--pid", "--fork", "--kill-child")])
def test_orphans_of_an_installation_with_the_same_path_elsewhere_are_not_ours(
    left: Left, tmp_path: Path, namespaces: tuple[str, ...]
) -> None:
    """In another mount namespace the path is another directory; in another process namespace the owner's number is."""
    run_id = uuid4()
    other = left.elsewhere(tmp_path, run_id, *namespaces)
    own = left.behind(uuid4(), instance=str(tmp_path))
    assert wait_until(lambda: str(run_id) in {process.environment().get(RUN_ID) for process in processes()}, 5)
    assert kill_orphans(str(tmp_path)).killed == ("sleep",)
    assert own.wait(timeout=5) == -9
    assert other.poll() is None
    # What may be this installation's is still found by the id of its run.
    assert kill_run(run_id).run_ids == {str(run_id)}


def test_directories_of_another_container_are_kept_for_a_day(tmp_path: Path) -> None:
    ages = {"young": 3_600, "old": 90_000}
    for name, age in ages.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / SPEC).write_text(json.dumps({"owner": DEAD, "place": "another boot.4026531836"}))
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    assert remove_orphaned_directories(tmp_path) == ["old"]


def test_a_program_that_was_started_from_within_a_run_does_not_kill_itself(left: Left) -> None:
    run_id = uuid4()
    imports = "from uuid import UUID; from ims.runs.supervision.sweep import kill_run"
    code = f"{imports}; print(kill_run(UUID('{run_id}')).killed)"
    environment = os.environ | {"IMS_RUN_ID": str(run_id)}
    python = sys.executable
    done = subprocess.run([python, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "()"


def test_directories_without_a_process_or_an_owner_are_removed(left: Left, tmp_path: Path) -> None:
    owners = {"busy": DEAD, "orphaned": DEAD, "cared-for": this_process().mark(), "new": None, "old": None}
    busy = uuid4()
    left.behind(busy)
    names = {name: str(busy) if name == "busy" else name for name in owners}
    for name, owner in owners.items():
        directory = tmp_path / names[name]
        directory.mkdir()
        if owner is not None:
            (directory / SPEC).write_text(json.dumps({"owner": owner}))
    long_ago = time.time() - 3600
    os.utime(tmp_path / "old", (long_ago, long_ago))
    assert remove_orphaned_directories(tmp_path) == ["old", "orphaned"]
    assert {entry.name for entry in tmp_path.iterdir()} == {str(busy), "cared-for", "new"}
    assert remove_orphaned_directories(tmp_path / "missing") == []
