"""Ansible's and ssh's sockets fit below the directory that a run gets for them."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

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


def test_only_a_directory_of_ours_is_removed(short_root: Path) -> None:
    made = make_short_directory(short_root)
    (made / "socket").touch()
    link, other = short_root / "link", short_root / "precious"
    link.symlink_to(made)
    remove_short_directory(link)
    assert not made.exists()
    other.mkdir()
    elsewhere = short_root / "elsewhere"
    elsewhere.symlink_to(other)
    remove_short_directory(elsewhere)
    assert other.is_dir()
    remove_short_directory(short_root / "nothing")
