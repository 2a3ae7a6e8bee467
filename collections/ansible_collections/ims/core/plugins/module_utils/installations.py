"""Which installation of IMS a process belongs to.

The mark in its environment is a path, and a path is not enough: two installations in different roots, containers or
mount namespaces may have the same one. A process belongs to the installation of the caller if it is in the same process
namespace and the path means the same directory to both.
"""

from __future__ import annotations

from pathlib import Path


def is_same_installation(pid: int, mark: str) -> bool:
    """Whether `mark` is the same directory for that process and for the caller; false if that cannot be seen."""
    namespace, own_namespace = _identity(f"/proc/{pid}/ns/pid"), _identity("/proc/self/ns/pid")
    if namespace is None or namespace != own_namespace:
        return False
    theirs, ours = _identity(f"/proc/{pid}/root/{mark.lstrip('/')}"), _identity(mark)
    if theirs is None and ours is None:
        # The directory is gone. Then what has the same root was of the same installation.
        theirs, ours = _identity(f"/proc/{pid}/root"), _identity("/")
    return theirs is not None and theirs == ours


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
