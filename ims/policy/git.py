"""The Git commit of a policy tree, as a label. The digest is the identity; without Git there is no label."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ims.policy.tree import PARTS

TIMEOUT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class GitState:
    """Commit (40 or 64 hex digits) and whether the policy's own files differ from it; both None if unknown."""

    commit: str | None = None
    dirty: bool | None = None


def git_state(root: Path, search_path: str = os.defpath, parts: Sequence[str] = PARTS) -> GitState:
    """The commit of the checkout that contains `root`. Never raises: without Git, repository or commit it is unknown.

    `search_path` is the PATH to search for `git`, `parts` are the files and directories that belong to the policy.
    """
    commit = _git(search_path, root, "rev-parse", "--verify", "HEAD^{commit}")
    if commit is None:
        return GitState()
    changed = _git(search_path, root, "status", "--porcelain", "--untracked-files=normal", "--", *_specs(root, parts))
    return GitState(commit.strip(), None if changed is None else bool(changed.strip()))


def _specs(root: Path, parts: Sequence[str]) -> list[str]:
    # A part that was deleted from the tree but not from the commit is a change, too.
    return [f":(literal){part}" for part in parts] if root.is_dir() else []


def _git(search_path: str, root: Path, *arguments: str) -> str | None:
    """The output of a Git command, or None if Git cannot be run or fails.

    Git refuses a checkout that another account owns, because its configuration can name programs to run. As root this
    function runs Git as the owner, so that such programs get no more rights than the owner has; `safe.directory` is
    for callers that cannot become the owner.
    """
    program = shutil.which("git", path=search_path)
    if program is None:
        return None
    try:
        owner = root.stat()
        becomes_owner = os.geteuid() == 0 and owner.st_uid != 0
        done = subprocess.run(
            [program, "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-C", str(root), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={
                "PATH": search_path,
                "LC_ALL": "C.UTF-8",
                "GIT_OPTIONAL_LOCKS": "0",
                "GIT_TERMINAL_PROMPT": "0",
            },
            timeout=TIMEOUT_SECONDS,
            check=False,
            user=owner.st_uid if becomes_owner else None,
            group=owner.st_gid if becomes_owner else None,
            extra_groups=[] if becomes_owner else None,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None
