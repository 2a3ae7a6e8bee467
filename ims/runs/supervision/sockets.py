"""The short directory for a run's sockets.

The path of a Unix socket may have 107 characters. ansible-core 2.21 and later opens one below TMPDIR for every run, and
ssh uses others for persistent connections. Below a run's own directory their paths would be too long, and a run would
end with exit code 250 and no recap. So each run gets another directory, 0700, with a short path: beside the directories
of runs, or in the system's directory for temporary files if even that path is too long.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Final

from ims.core.errors import RunDenied
from ims.runs.processes import TEMPORARY
from ims.runs.supervision.module_files import remove_module_files

LONGEST: Final = 74
"""Characters of the directory's path. What Ansible and ssh add has up to 33: `/pymp-XXXXXXXX/listener-XXXXXXXX`."""
SHARED: Final = "tmp"
"""Beside the directories of runs: the parent of all short directories."""
_NAME: Final = 8
"""Characters of the random part of a name of `mkdtemp`."""
_PREFIX: Final = "ims-"


class NoShortPath(RunDenied):
    """No directory has a path that is short enough for Ansible's sockets."""

    def __init__(self, tried: list[Path]) -> None:
        places = " and ".join(map(str, tried))
        super().__init__(
            f"The paths of {places} are too long for the sockets of a run: a directory of sockets may have {LONGEST}"
            " characters. Choose a shorter IMS_STATE_DIR, or a shorter TMPDIR for the worker."
        )


def check_short_path(runs: Path) -> None:
    """Raise `NoShortPath` if no run whose directory is in `runs` could get a short directory."""
    _place_for(runs)


def make_short_directory(runs: Path) -> Path:
    """Make the short directory of one run, whose own directory is in `runs`. Raises `NoShortPath`."""
    place, prefix = _place_for(runs)
    if place == runs / SHARED:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=place.resolve()))


def remove_short_directory(directory: Path) -> None:
    """Remove the short directory of the run that has this directory, if there is one of ours, and all that is in it."""
    link = directory / TEMPORARY
    if not link.is_symlink():
        return
    place = link.resolve()
    is_beside = place.parent == (directory.parent / SHARED).resolve()
    if is_beside or place.name.startswith(_PREFIX):
        remove_module_files(place)
        shutil.rmtree(place, ignore_errors=True)


def _place_for(runs: Path) -> tuple[Path, str]:
    """Return where short directories of these runs are made, and how their names begin. Raises `NoShortPath`."""
    shared, system = runs / SHARED, Path(tempfile.gettempdir())
    for place, prefix in ((shared, ""), (system, _PREFIX)):
        if len(str(place.resolve())) + 1 + len(prefix) + _NAME <= LONGEST:
            return place, prefix
    raise NoShortPath([shared, system])
