"""The commit of a policy tree as a label."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from ims.policy.git import GitState, git_state


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), "-c", "user.name=Alice", "-c", "user.email=alice@example.org", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env={"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tree: Path) -> Path:
    (tree / "README.md").write_text("ours\n")
    git(tree, "init", "--quiet")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "-m", "policy")
    return tree


def test_a_clean_checkout_is_its_commit(checkout: Path) -> None:
    assert git_state(checkout) == GitState(git(checkout, "rev-parse", "HEAD"), False)


@pytest.mark.parametrize("change", ["edited", "added", "deleted"])
def test_a_change_of_the_policy_makes_it_dirty(checkout: Path, change: str) -> None:
    if change == "edited":
        (checkout / "site.yml").write_text("[]\n")
    elif change == "added":
        (checkout / "playbooks/new.yml").write_text("[]\n")
    else:
        (checkout / "site.yml").unlink()
    assert git_state(checkout).dirty is True


def test_a_change_of_something_else_does_not(checkout: Path) -> None:
    (checkout / "README.md").write_text("changed\n")
    (checkout / "new.py").write_text("changed\n")
    assert git_state(checkout).dirty is False


def test_a_policy_may_be_a_part_of_a_repository(tree: Path) -> None:
    git(tree.parent, "init", "--quiet")
    git(tree.parent, "add", ".")
    git(tree.parent, "commit", "--quiet", "-m", "policy")
    assert git_state(tree).dirty is False
    (tree / "site.yml").write_text("[]\n")
    assert git_state(tree).dirty is True


def test_without_a_repository_a_commit_or_a_git_there_is_no_label(tree: Path) -> None:
    assert git_state(tree) == GitState(None, None)
    git(tree, "init", "--quiet")
    assert git_state(tree) == GitState(None, None)
    assert git_state(tree, search_path=str(tree)) == GitState(None, None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a checkout to another account")
def test_root_reads_the_checkout_of_another_account_as_that_account(checkout: Path) -> None:
    # Not in pytest's own directory, which no other account may enter.
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        trace, program, theirs = directory / "ran-as", directory / "filter", directory / "checkout"
        trace.touch()
        program.write_text(f"#!/bin/sh\nid -u >> {trace}\ncat\n")
        program.chmod(0o755)
        shutil.copytree(checkout, theirs)
        commit = git(theirs, "rev-parse", "HEAD")
        # A repository may name programs of its own; they must not run as root because root looks at it.
        git(theirs, "config", "filter.x.clean", str(program))
        (theirs / ".git/info/attributes").write_text("* filter=x\n")
        (theirs / "site.yml").write_text("[]\n")
        for path in (trace, theirs, *theirs.rglob("*")):
            os.chown(path, 65534, 65534)
        assert git_state(theirs) == GitState(commit, True)
        assert set(trace.read_text().split()) == {"65534"}
