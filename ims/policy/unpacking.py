"""Unpack a revision on this machine: once, complete and read-only, even if several workers do it at the same time."""

import fcntl
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from ims.policy.tree import TreeFaulty, is_left_out

_DIRECTORY_MODE = 0o555
_FILE_MODE = 0o444

_seen_intact: dict[Path, tuple[int, int]] = {}
"""Directories that this process has compared with their archive, with inode and ctime of the top directory."""


def unpack(digest: str, archive: bytes, directory: Path) -> Path:
    """Make sure that `directory`/`digest` holds exactly the archive's content, and return that path.

    An existing intact directory is reused; a process compares it completely once. Otherwise the content is written to
    a new directory that is then renamed, so that no process sees a partial tree. Raises `TreeFaulty` if the archive
    does not have this digest or contains anything that `pack` never writes.
    """
    if (target := unpacked(digest, directory)) is not None:
        return target
    target = directory / digest
    if hashlib.sha256(archive).hexdigest() != digest:
        raise TreeFaulty("The archive of the policy does not have the digest it is stored under.")
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _members(archive) as (opened, members), _locked(directory / f".{digest}.lock"):
        if not (target.is_dir() and _is_intact(opened, members, target)):
            _replace(opened, members, target)
    mark = _mark(target)
    if mark is not None:
        _seen_intact[target] = mark
    return target


def unpacked(digest: str, directory: Path) -> Path | None:
    """`directory`/`digest` if this process has found it intact before, else None: then call `unpack`."""
    target = directory / digest
    return target if target in _seen_intact and _seen_intact[target] == _mark(target) else None


def remove(path: Path) -> None:
    """Remove an unpacked, and therefore read-only, revision if it exists."""
    if not path.is_dir():
        return
    for inner, _, _ in os.walk(path):
        Path(inner).chmod(0o700)
    shutil.rmtree(path)


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return (status.st_ino, status.st_ctime_ns)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _members(archive: bytes) -> Iterator[tuple[tarfile.TarFile, dict[str, tarfile.TarInfo]]]:
    """The archive's members by name; all are checked before anything is written."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as opened:
            members = {member.name: member for member in opened.getmembers()}
            if len(members) != len(opened.getmembers()):
                raise TreeFaulty("The archive of the policy contains a name twice.")
            for member in members.values():
                _check_member(member, members)
            yield opened, members
    except tarfile.TarError as error:
        raise TreeFaulty("The archive of the policy cannot be read.") from error


def _check_member(member: tarfile.TarInfo, members: dict[str, tarfile.TarInfo]) -> None:
    """Check a member here because Python 3.11.2 has no tarfile `data` filter; `pack` writes far less than it allows."""
    path = PurePosixPath(member.name)
    parent = members.get(str(path.parent))
    sound = (
        not path.is_absolute()
        # The path "." has no parts: it is the directory itself.
        and bool(path.parts)
        and path.as_posix() == member.name
        and not {"..", "."} & set(path.parts)
        and (len(path.parts) == 1 or (parent is not None and parent.isdir()))
        and (member.isreg() or member.isdir() or member.issym())
    )
    if sound and member.issym():
        target = os.path.normpath(path.parent / member.linkname)
        sound = not member.linkname.startswith("/") and target in members
    if not sound:
        raise TreeFaulty(f"The archive of the policy contains {member.name!r}, which is not allowed in a policy.")


def _replace(opened: tarfile.TarFile, members: dict[str, tarfile.TarInfo], target: Path) -> None:
    fresh = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=target.parent))
    try:
        _write(opened, members, fresh)
        if target.exists():
            # Rename it within its parent: a read-only directory cannot be moved to another one.
            damaged = target.with_name(f".damaged{fresh.name}")
            target.rename(damaged)
            remove(damaged)
        fresh.rename(target)
    except BaseException:
        remove(fresh)
        raise


def _write(opened: tarfile.TarFile, members: dict[str, tarfile.TarInfo], top: Path) -> None:
    directories = [top]
    for name in sorted(members):
        member, path = members[name], top / name
        if member.isdir():
            path.mkdir()
            directories.append(path)
        elif member.issym():
            path.symlink_to(member.linkname)
        else:
            # No fsync: the next process compares the files and finds any damage by a power cut.
            path.write_bytes(_content(opened, member))
            path.chmod(_mode(member))
    for path in reversed(directories):
        path.chmod(_DIRECTORY_MODE)


def _mode(member: tarfile.TarInfo) -> int:
    return _FILE_MODE | (member.mode & 0o111)


def _content(opened: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = opened.extractfile(member)
    return file.read() if file is not None else b""


def _is_intact(opened: tarfile.TarFile, members: dict[str, tarfile.TarInfo], top: Path) -> bool:
    """Whether a directory has the content of the archive and nothing else but caches."""
    present = set()
    for inner, directories, files in os.walk(top):
        directories[:] = [name for name in directories if not is_left_out(name)]
        here = Path(inner).relative_to(top)
        present |= {(here / name).as_posix() for name in (*directories, *files) if not is_left_out(name)}
    return present == set(members) and all(_is_same(opened, member, top / name) for name, member in members.items())


def _is_same(opened: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> bool:
    if member.issym():
        return path.is_symlink() and str(path.readlink()) == member.linkname
    if path.is_symlink() or member.isdir():
        return path.is_dir() and member.isdir()
    status = path.lstat()
    return (
        path.is_file()
        and status.st_size == member.size
        and status.st_mode & 0o777 == _mode(member)
        and path.read_bytes() == _content(opened, member)
    )
