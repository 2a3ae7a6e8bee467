"""Pack the policy tree into one archive with one digest.

The archive is byte-identical for the same content: members are in name order, and times, owners and permissions are
uniform. Its SHA-256 is the identity of a revision; `sha256sum` of the stored bytes gives the same value.
"""

import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ims.core.errors import IMSError

PARTS = (
    "ansible.cfg",
    "collections",
    "inventory",
    "playbooks",
    "requirements.yml",
    "roles",
    "site.yml",
    # Ansible itself looks for these beside a playbook.
    "action_plugins",
    "callback_plugins",
    "connection_plugins",
    "files",
    "filter_plugins",
    "group_vars",
    "handlers",
    "host_vars",
    "library",
    "lookup_plugins",
    "module_utils",
    "tasks",
    "templates",
    "test_plugins",
    "vars",
    "vars_plugins",
)
"""Files and directories that belong to a policy tree, if they exist. Everything else in the directory (sources, docs,
secrets) is left out."""

MANIFEST = "ims-revision.json"
"""Added to the archive: the inventory of the tree that this revision uses, so that the digest includes it."""

ARCHIVE_BYTES = 64 * 1024 * 1024

_LEFT_OUT_NAMES = frozenset({".git", ".hg", ".svn", ".venv", "venv", "__pycache__", ".DS_Store", ".ansible", ".cache"})
_LEFT_OUT_ENDS = (".pyc", ".pyo", ".retry", ".swp", ".swo", ".orig", ".rej", "~")
_LEFT_OUT_BEGINNINGS = (".#", "#", "._")


class TreeFaulty(IMSError):
    """The policy tree cannot be packed."""


@dataclass(frozen=True, slots=True)
class PackedTree:
    """A policy tree: `digest` is the SHA-256 of `archive` in hex; `files` are the paths in it, without the manifest."""

    digest: str
    archive: bytes
    files: frozenset[str]


def is_left_out(name: str) -> bool:
    """Whether files and directories of this name are left out: version control, caches, editors' backup files."""
    return name in _LEFT_OUT_NAMES or name.endswith(_LEFT_OUT_ENDS) or name.startswith(_LEFT_OUT_BEGINNINGS)


def pack(root: Path, inventory: str, *, limit: int = ARCHIVE_BYTES) -> PackedTree:
    """Pack the policy tree in `root`; `inventory` is the path inside it of the inventory that the revision uses.

    Raises `TreeFaulty` if the inventory is missing or outside the tree, if the tree contains anything but files,
    directories and links, if a link points outside the tree, or if the archive would exceed `limit` bytes.
    """
    root = root.resolve()
    inventory = _inventory_inside(root, inventory)
    try:
        paths = sorted(_walk(root), key=lambda path: path.relative_to(root).as_posix())
        content = _archive(root, paths, inventory, limit)
    except OSError as error:
        name = os.fsdecode(error.filename or "").removeprefix(f"{root}/")
        raise TreeFaulty(f"{name or root} cannot be read: {error.strerror}.") from error
    files = frozenset(path.relative_to(root).as_posix() for path in paths if path.is_file())
    return PackedTree(hashlib.sha256(content).hexdigest(), content, files)


def _archive(root: Path, paths: list[Path], inventory: str, limit: int) -> bytes:
    names = frozenset(path.relative_to(root).as_posix() for path in paths)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        _add_bytes(archive, MANIFEST, json.dumps({"inventory": inventory}).encode())
        for path in paths:
            if buffer.tell() + path.lstat().st_size > limit:
                raise TreeFaulty(_too_large(root, paths, limit))
            _add(archive, root, path, names)
    return buffer.getvalue()


def inventory_of(archive: bytes) -> str:
    """The inventory that a packed revision uses. Raises `TreeFaulty` if `archive` was not made by `pack`."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as opened:
            member = opened.extractfile(MANIFEST)
            if member is not None:
                return str(json.load(member)["inventory"])
    except (tarfile.TarError, KeyError, ValueError) as error:
        raise TreeFaulty("This is not an archive of a policy.") from error
    raise TreeFaulty("This is not an archive of a policy.")


def _inventory_inside(root: Path, inventory: str) -> str:
    if not root.is_dir():
        raise TreeFaulty(f"{root} is not a directory: give the directory of the policy.")
    try:
        inside = (root / inventory).resolve(strict=True).relative_to(root)
    except FileNotFoundError:
        raise TreeFaulty(f"There is no inventory {inventory} in {root}.") from None
    except ValueError:
        raise TreeFaulty(f"The inventory {inventory} is outside the policy tree {root}.") from None
    if not inside.parts or inside.parts[0] not in PARTS:
        raise TreeFaulty(f"The inventory {inventory} is not part of the policy tree: move it under inventory/.")
    return inside.as_posix()


def _walk(root: Path) -> Iterator[Path]:
    """All paths of the tree, including directories; links are not followed."""
    waiting = [path for part in PARTS if os.path.lexists(path := root / part)]
    while waiting:
        path = waiting.pop()
        yield path
        if path.is_dir() and not path.is_symlink():
            waiting.extend(child for child in path.iterdir() if not is_left_out(child.name))


def _add(archive: tarfile.TarFile, root: Path, path: Path, names: frozenset[str]) -> None:
    name = path.relative_to(root).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError:
        raise TreeFaulty(f"The name {os.fsencode(name)!r} is not UTF-8: rename the file.") from None
    kind = path.lstat().st_mode
    if stat.S_ISLNK(kind):
        archive.addfile(_member(name, tarfile.SYMTYPE, 0o777, link=_link(root, path, names)))
    elif stat.S_ISDIR(kind):
        archive.addfile(_member(name, tarfile.DIRTYPE, 0o755))
    elif stat.S_ISREG(kind):
        _add_bytes(archive, name, path.read_bytes(), executable=bool(kind & 0o111))
    else:
        raise TreeFaulty(f"{name} is neither a file nor a directory: remove it from the policy tree.")


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes, *, executable: bool = False) -> None:
    member = _member(name, tarfile.REGTYPE, 0o755 if executable else 0o644)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def _member(name: str, kind: bytes, mode: int, *, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.linkname = kind, mode, link
    return member


def _link(root: Path, path: Path, names: frozenset[str]) -> str:
    """The target of a link, relative to the link's directory. Raises `TreeFaulty` if it is not in the archive."""
    name = path.relative_to(root).as_posix()
    target = Path(os.path.normpath(path.parent / path.readlink()))
    if not target.is_relative_to(root) or target.relative_to(root).as_posix() not in names:
        raise TreeFaulty(f"{name} is a link to a path outside the policy tree: replace it with the file itself.")
    return PurePosixPath(os.path.relpath(target, path.parent)).as_posix()


def _too_large(root: Path, paths: list[Path], limit: int) -> str:
    sizes: dict[str, int] = {}
    for path in paths:
        part = "/".join(path.relative_to(root).parts[:3])
        sizes[part] = sizes.get(part, 0) + path.lstat().st_size
    largest = sorted(sizes, key=lambda part: sizes[part], reverse=True)[:3]
    listed = ", ".join(f"{part} ({sizes[part] // 1024} KiB)" for part in largest)
    return (
        f"The policy tree is larger than {limit // 1024} KiB. Largest: {listed}. "
        "Move files that do not belong to the policy out of it."
    )
