"""Finds processes that a run left behind, by the mark in their environment, and kills them.

The run's child kills its own descendants. The sweep is for the case that the child, or both the worker and the child,
were killed: every process of a run has ``IMS_RUN_ID``, ``IMS_RUN_OWNER`` and, if the caller set it, ``IMS_INSTANCE`` in
its environment.
"""

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from ims.runs.processes import (
    INSTANCE,
    RUN_ID,
    RUN_OWNER,
    SPEC,
    TEMPORARY,
    Process,
    ancestors,
    is_alive,
    kill_all,
    place,
    processes,
)
from ims.runs.supervision.sockets import SHARED, remove_short_directory

_PATIENCE: Final = 5.0
"""Seconds to go on killing before the survivors are reported."""
_PAUSE: Final = 0.005
_ELSEWHERE: Final = 86_400.0
"""Seconds in which the directory of a run of another container or machine, or of an earlier boot, is kept."""
_NEW: Final = 60.0
"""Seconds in which a directory without a description may still get one."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep found: names of programs, and the runs they belonged to."""

    run_ids: frozenset[str] = frozenset()
    killed: tuple[str, ...] = ()
    survivors: tuple[str, ...] = ()
    """Programs of another user, which could not be killed."""


@dataclass(frozen=True, slots=True)
class _Marked:
    process: Process
    run_id: str
    owner: str
    instance: str


def kill_run(run_id: UUID) -> Sweep:
    """Kill every process of this run and return when none is left; takes milliseconds when there is none."""
    wanted = str(run_id)
    return _kill(lambda marked: marked.run_id == wanted)


def kill_orphans(instance: str) -> Sweep:
    """Kill the processes of all runs of this instance whose worker has ended; to be called when a worker starts.

    Runs of other workers that live on the same machine are not touched, whatever their lease says, nor are those of
    another installation whose state directory has the same path in another root or namespace.
    """
    return _kill(lambda marked: marked.instance == instance and not is_alive(marked.owner) and _is_ours(marked))


def _is_ours(marked: _Marked) -> bool:
    return marked.process.is_in_place() and marked.process.sees_same(marked.instance)


def remove_orphaned_directories(runs: Path) -> list[str]:
    """Remove the directories of runs that have no process and no living owner any more; return their names.

    ``runs`` is the directory that holds one directory for each run. Call it after ``kill_orphans``.
    """
    if not runs.is_dir():
        return []
    marked = {marked.run_id for marked in _marked()}
    entries = [entry for entry in runs.iterdir() if entry.name != SHARED]
    # A run with a warm runner works in the directory of that one, to which its own is a link.
    busy = marked | {(runs / run_id).resolve().name for run_id in marked}
    stale = [entry for entry in entries if _is_place(entry) and entry.name not in busy and not _has_owner(entry)]
    for entry in stale:
        if entry.is_symlink():
            entry.unlink(missing_ok=True)
        else:
            remove_short_directory(entry)
            shutil.rmtree(entry, ignore_errors=True)
    _remove_unused_short_directories(runs)
    return sorted(entry.name for entry in stale)


def _remove_unused_short_directories(runs: Path) -> None:
    """Remove short directories without a link from a run's directory: their worker died before it made the link."""
    used = {(entry / TEMPORARY).resolve() for entry in runs.iterdir() if (entry / TEMPORARY).is_symlink()}
    shared = runs / SHARED
    for entry in shared.iterdir() if shared.is_dir() else ():
        if entry.resolve() not in used and not _is_new(entry):
            shutil.rmtree(entry, ignore_errors=True)


def _is_place(entry: Path) -> bool:
    """Whether it is the directory of a run, or a link to one that may be gone."""
    return entry.is_symlink() or entry.is_dir()


def _has_owner(directory: Path) -> bool:
    try:
        description = json.loads((directory / SPEC).read_text("utf-8"))
        owner, its_place = str(description["owner"]), description.get("place", place())
    except (OSError, ValueError, KeyError):
        # A worker that is just starting the run has not written it yet.
        return _is_new(directory)
    # The processes of another container or machine that shares the state directory cannot be seen.
    return is_alive(owner) if its_place == place() else _is_new(directory, _ELSEWHERE)


def _is_new(directory: Path, seconds: float = _NEW) -> bool:
    """Whether it was made or changed a moment ago; one that another worker has just removed is not."""
    try:
        return time.time() - directory.stat().st_mtime < seconds
    except FileNotFoundError:
        return False


def _kill(is_wanted: Callable[[_Marked], bool]) -> Sweep:
    run_ids: set[str] = set()
    killed: dict[int, str] = {}
    survivors: list[str] = []
    # A program that is started within a run inherits the mark; it must not kill itself or its ancestors.
    untouchable = ancestors(os.getpid()) | {os.getpid()}
    deadline = time.monotonic() + _PATIENCE
    while victims := [found for found in _marked() if is_wanted(found) and found.process.pid not in untouchable]:
        run_ids.update(victim.run_id for victim in victims)
        killed.update({victim.process.pid: victim.process.command for victim in victims})
        spared = kill_all(victim.process for victim in victims)
        survivors = [process.command for process in spared]
        if len(spared) == len(victims) or time.monotonic() > deadline:
            break
        time.sleep(_PAUSE)
    return Sweep(frozenset(run_ids), tuple(sorted(killed.values())), tuple(sorted(survivors)))


def _marked() -> list[_Marked]:
    found = []
    for process in processes():
        if not process.is_running:
            continue
        environment = process.environment()
        run_id = environment.get(RUN_ID)
        if run_id:
            found.append(
                _Marked(process, run_id, environment.get(RUN_OWNER, ""), environment.get(INSTANCE, "")),
            )
    return found
