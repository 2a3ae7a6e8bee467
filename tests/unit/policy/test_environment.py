"""Which directory is the home of an account."""

import os
import pwd
from pathlib import Path

from ims.policy.environment import home_of


def entry(home: Path) -> pwd.struct_passwd:
    return pwd.struct_passwd(("somebody", "x", 1000, 1000, "", str(home), "/bin/sh"))


def test_the_user_database_counts_before_the_environment(tmp_path: Path) -> None:
    assert home_of(entry(tmp_path), {"HOME": os.sep}) == tmp_path


def test_an_account_that_the_database_does_not_know_has_what_the_environment_says(tmp_path: Path) -> None:
    assert home_of(None, {"HOME": str(tmp_path)}) == tmp_path
    assert home_of(None, {}) is None


def test_a_home_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert home_of(entry(tmp_path / "nowhere"), {"HOME": str(tmp_path)}) is None
