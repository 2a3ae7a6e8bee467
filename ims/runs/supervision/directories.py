"""The directory of a run: its content, creation and removal."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ims.core.errors import RunDenied
from ims.core.log import logger
from ims.runs.environment import CONTROL_PATHS, EMPTY_CFG, PERSISTENT_PATHS
from ims.runs.processes import SPEC, TEMPORARY
from ims.runs.request import RunRequest
from ims.runs.supervision.sockets import make_short_directory, remove_short_directory

ERRORS: Final = "child.err"
"""Standard error of the run's child."""
_EXTRA_VARS = "extra_vars.json"

log = logger(__name__)


def make_directory(directory: Path, spec: Mapping[str, Any]) -> None:
    """Create a directory, 0700, with the files that a child reads first, 0600; raise FileExistsError if it exists.

    Raises `NoShortPath` when no path is short enough for the sockets of a run.
    """
    directory.mkdir(mode=0o700)
    try:
        short = make_short_directory(directory.parent)
    except BaseException:
        directory.rmdir()
        raise
    (directory / TEMPORARY).symlink_to(short, target_is_directory=True)
    for name in (CONTROL_PATHS, PERSISTENT_PATHS):
        (short / name).mkdir(mode=0o700)
    _write(directory / EMPTY_CFG, "")
    _write(directory / SPEC, json.dumps(spec))


def make_run_directory(request: RunRequest, directory: Path) -> None:
    """Create the run's directory with all files that its child reads; raise RunDenied if it exists."""
    try:
        make_directory(directory, request.run_context.spec())
    except FileExistsError as error:
        raise _started_before() from error
    _describe(request, directory)


def adopt_directory(request: RunRequest, directory: Path, warm_runner: Path) -> None:
    """Make ``directory`` a link to the directory of a warm runner; raise RunDenied if it exists.

    The child's arguments and environment name its directory, so the directory cannot be moved.
    """
    try:
        directory.symlink_to(warm_runner, target_is_directory=True)
    except FileExistsError as error:
        raise _started_before() from error
    _describe(request, directory)


def remove_directory(directory: Path) -> None:
    """Remove the run's directory. What cannot be removed is logged and left to the sweep."""
    place = directory.resolve()
    remove_short_directory(place)
    try:
        shutil.rmtree(place)
    except OSError:
        shutil.rmtree(place, ignore_errors=True)
    if directory.is_symlink() and not place.exists():
        directory.unlink(missing_ok=True)
    if directory.exists():
        log.warning("run_directory_remains", directory=str(directory))


def _started_before() -> RunDenied:
    return RunDenied("The run was started before: its directory exists.")


def _describe(request: RunRequest, directory: Path) -> None:
    """Write the spec atomically."""
    spec = {
        **request.run_context.spec(),
        "run_id": str(request.run_id),
        "timeout": request.timeout,
        "inventory": str(request.path(request.inventory)),
        "playbook": str(request.path(request.playbook)),
        "limit": request.limit,
        "check": request.is_check,
        "extra_vars": str(directory / _EXTRA_VARS),
    }
    # Ansible would read anything but JSON as YAML, in which the marks of unsafe strings have no meaning.
    _write(directory / _EXTRA_VARS, json.dumps(request.extra_vars(), allow_nan=False))
    whole = directory / f"{SPEC}.new"
    _write(whole, json.dumps(spec))
    whole.replace(directory / SPEC)


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
