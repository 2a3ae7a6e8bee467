"""Ansible's and ssh's sockets fit below the directory that a run gets for them."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ims.runs.processes import TEMPORARY
from ims.runs.supervision.sockets import (
    LONGEST,
    SHARED,
    NoShortPath,
    make_short_directory,
    remove_short_directory,
)

LONGEST_SUFFIX = "/pymp-XXXXXXXX/listener-XXXXXXXX"
SOCKET_PATH = 107


@pytest.fixture
def short_root() -> Iterator[Path]:
    """A directory with a path as short as an installation's; pytest's own are too long to be one."""
    root = Path(tempfile.mkdtemp(prefix="ims-s-", dir="/tmp"))
    yield root
    shutil.rmtree(root, ignore_errors=True)


def test_it_lies_beside_the_directories_of_runs_and_is_nobody_elses(short_root: Path) -> None:
    made = make_short_directory(short_root)
    assert made.parent == short_root / SHARED
    assert made.stat().st_mode & 0o777 == 0o700
    assert made.parent.stat().st_mode & 0o777 == 0o700
    assert make_short_directory(short_root) != made


def test_with_a_long_state_directory_it_lies_in_the_systems_temporary_directory(short_root: Path) -> None:
    runs = short_root / ("x" * 80)
    made = make_short_directory(runs)
    try:
        assert made.parent == Path(tempfile.gettempdir())
        assert not runs.exists()
    finally:
        shutil.rmtree(made)


def test_all_that_is_added_fits_into_the_path_of_a_socket() -> None:
    assert LONGEST + len(LONGEST_SUFFIX) < SOCKET_PATH


def test_when_no_path_is_short_the_run_is_refused_with_the_settings_to_change(
    short_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = short_root / ("y" * 80)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with pytest.raises(NoShortPath, match=r"IMS_STATE_DIR.*TMPDIR"):
        make_short_directory(short_root / ("x" * 80))


def test_a_worker_whose_runs_would_all_be_refused_does_not_start(short_root: Path) -> None:
    deep = short_root / ("x" * 80)
    deep.mkdir()
    environment = {"PATH": os.environ["PATH"], "IMS_STATE_DIR": str(deep), "TMPDIR": str(deep)}
    worker = subprocess.run(
        [sys.executable, "-m", "ims.cli", "admin", "worker"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert worker.returncode == 1
    assert "Choose a shorter IMS_STATE_DIR, or a shorter TMPDIR" in worker.stderr


def test_it_is_removed_with_all_that_is_in_it(short_root: Path) -> None:
    made = make_short_directory(short_root)
    (made / "socket").touch()
    remove_short_directory(run_of(made, short_root))
    assert not made.exists()


@pytest.mark.parametrize("place", ["precious", "tmp/precious"])
def test_what_is_not_ours_is_not_removed_even_if_a_playbook_has_a_link_lead_there(place: str, short_root: Path) -> None:
    other = short_root / place
    other.mkdir(parents=True)
    runs = short_root / "runs"
    runs.mkdir()
    remove_short_directory(run_of(other, runs))
    assert other.is_dir()


def test_a_run_without_one_has_none_removed(short_root: Path) -> None:
    remove_short_directory(short_root / "nothing")


def run_of(short: Path, runs: Path) -> Path:
    """The directory of a run to which this short one belongs."""
    directory = runs / "run"
    directory.mkdir()
    (directory / TEMPORARY).symlink_to(short)
    return directory
