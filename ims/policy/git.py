"""Which commit a policy tree is, as a label. The digest is the identity; without Git there is simply no label."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ims.policy.tree import PARTS

TIMEOUT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class GitState:
    """Commit (40 or 64 hex digits) and whether the policy's own files differ from it; both None when unknown."""

    commit: str | None = None
    dirty: bool | None = None


def git_state(root: Path, search_path: str = os.defpath) -> GitState:
    """The commit of the checkout that holds `root`. Never raises: no Git, no repository, no commit give None.

    `search_path` is the PATH on which `git` is looked for.
    """
    commit = _git(search_path, root, "rev-parse", "--verify", "HEAD^{commit}")
    if commit is None:
        return GitState()
    changed = _git(search_path, root, "status", "--porcelain", "--untracked-files=normal", "--", *_parts(root))
    return GitState(commit.strip(), None if changed is None else bool(changed.strip()))


def _parts(root: Path) -> list[str]:
    # A part that is gone from the tree but not from the commit counts as a change too.
    return [f":(glob){part}{suffix}" for part in PARTS for suffix in ("", "/**")] if root.is_dir() else []


def _git(search_path: str, root: Path, *arguments: str) -> str | None:
    """What a Git command prints, or None when it cannot be run or fails.

    Git refuses a checkout of another account because its configuration names programs to run. As root we become the
    owner, so those programs get no more rights than he has; `safe.directory` is for those who cannot become him.
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
