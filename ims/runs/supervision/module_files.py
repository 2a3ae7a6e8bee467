"""What a module that was killed left in the account's home.

For a local connection Ansible copies modules, arguments and all, below ``~/.ansible/tmp``, and removes each copy when
its task is over. A task that is killed leaves its copy, in which there may be secrets. The copy's name holds the number
of the process that made it. So the forks of ansible-playbook write their numbers down in the run's short directory, and
whoever removes that directory, be it another worker, removes what they left.
"""

import math
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ims.policy.environment import account_home

FORKS: Final = "forks"
"""In the run's short directory: number and time of each fork of ansible-playbook, one a line."""
_COPIES: Final = ".ansible/tmp"
"""In the home: Ansible's default of `remote_tmp`."""
_COPY: Final = re.compile(r"ansible-tmp-(?P<made>\d+(?:\.\d+)?)-(?P<pid>\d+)-\d+")


def note_forks() -> Callable[[], None]:
    """Return what each fork of this process is to call: it writes its number down."""
    path = Path(os.environ["TMPDIR"], FORKS)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note() -> None:
        os.write(descriptor, f"{os.getpid()} {time.time()}\n".encode())

    return note


def remove_module_files(short: Path) -> None:
    """Remove the copies of modules that the run with this short directory left in the account's home."""
    home, forks = account_home(), short / FORKS
    copies = home / _COPIES if home else short
    if not forks.is_file() or not copies.is_dir():
        return
    begun = {pid: float(at) for pid, at in (line.split() for line in forks.read_text("ascii").splitlines())}
    for path in copies.iterdir():
        copy = _COPY.fullmatch(path.name)
        # A number is used again: what is older than the fork was somebody else's.
        if copy is not None and float(copy["made"]) >= begun.get(copy["pid"], math.inf):
            shutil.rmtree(path, ignore_errors=True)
