"""The command as a process of its own, as a shell or a script starts it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

IMS = Path(sys.executable).with_name("ims")


def environment(**more: str) -> dict[str, str]:
    """What a shell gives, without anything of an installation's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IMS_")}
    return {**kept, "TERM": "xterm-256color", "COLUMNS": "160", **more}


def typed(given: Mapping[str, str], *words: str, directory: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command, as a script does."""
    return subprocess.run(
        [IMS, *words], env=dict(given), cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
