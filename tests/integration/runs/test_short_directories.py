"""Whoever of a run dies, the short directory of its sockets and temporary files goes with it."""

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ims.runs.request import RunRequest
from tests.integration.runs import caller
from tests.integration.runs.conftest import Policy, marked, until

WAIT = """
- ansible.builtin.shell:
    cmd: touch begun; sleep 60
    chdir: "{{ playbook_dir }}"
"""


@pytest.fixture
def system_tmp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A system's directory for temporary files that only this test uses."""
    with tempfile.TemporaryDirectory(prefix="ims-t-", dir="/tmp") as name:
        monkeypatch.setenv("TMPDIR", name)
        yield Path(name)


@pytest.mark.parametrize("with_spare", [False, True], ids=["new", "warm"])
def test_when_the_worker_is_killed_nothing_stays_in_the_systems_temporary_directory(
    with_spare: bool, policy: Policy, system_tmp: Path
) -> None:
    # pytest's own directory is too long for sockets, so the run's short one lies in the system's.
    request = policy.request(policy.playbook(WAIT))

    async def scene() -> None:
        worker = await start_worker(policy, request, with_spare=with_spare)
        await until((policy.root / "begun").exists)
        assert names_in(system_tmp) != []
        worker.send_signal(signal.SIGKILL)
        await worker.wait()
        await until(lambda: marked(request.run_id) == [])

    asyncio.run(scene())
    assert names_in(system_tmp) == []


async def start_worker(policy: Policy, request: RunRequest, *, with_spare: bool) -> asyncio.subprocess.Process:
    """Start a process that executes the request and nothing else."""
    fields = policy.root.parent / "request.json"
    fields.write_text(json.dumps(request.model_dump(mode="json")))
    arguments = [str(fields), str(policy.directory(request)), os.devnull, *(["warm runner"] if with_spare else [])]
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", caller.__name__, *arguments, cwd=Path(caller.__file__).parents[3]
    )


def names_in(directory: Path) -> list[str]:
    return [entry.name for entry in directory.iterdir()]
