"""Pack the policy tree into one archive with one digest.

The archive is byte-identical for the same content: members are in name order, and times, owners and permissions are
uniform. Its SHA-256 is the identity of a revision; `sha256sum` of the stored bytes gives the same value.
"""

import configparser
import errno
import hashlib
import io
import json
import os
import re
import stat
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ims.core.errors import IMSError

PARTS = (
    "ansible.cfg",
    "collections",
    "inventories",
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
"""Files and directories that belong to a policy tree, if they exist. `parts_of` adds those that the tree itself names.
Everything else in the directory (sources, docs, secrets) is left out."""

MANIFEST = "ims-revision.json"
"""Added to the archive: the inventory of the tree that this revision uses, so that the digest includes it."""

ARCHIVE_BYTES = 64 * 1024 * 1024

_MOST_CANDIDATES = 8

_SEARCH_PATH = re.compile(r"roles_path|collections_paths?|library|module_utils|\w+_plugins")
_LEFT_OUT_NAMES = frozenset({".git", ".hg", ".svn", ".venv", "venv", "__pycache__", ".DS_Store", ".ansible", ".cache"})
_LEFT_OUT_ENDS = (".pyc", ".pyo", ".retry", ".swp", ".swo", ".orig", ".rej", "~")
_LEFT_OUT_BEGINNINGS = (".#", "#", "._")


class TreeFaulty(IMSError):
    """The policy tree cannot be packed."""


@dataclass(frozen=True, slots=True)
class PackedTree:
    """A policy tree: `digest` is the SHA-256 of `archive` in hex; `files` are the paths in it, without the manifest.

    A file in a linked directory has two paths. `parts` are the names in the tree's top directory that belong to it.
    """

    digest: str
    archive: bytes
    files: frozenset[str]
    parts: tuple[str, ...]


def parts_of(root: Path, inventory: str) -> tuple[str, ...]:
    """Names of the files and directories in `root` that belong to the policy.

    These are `PARTS`, the one that holds the inventory, and those in which `ansible.cfg` has Ansible search for roles,
    collections and plugins.
    """
    named = [PurePosixPath(inventory).parts[0], *_searched(root)]
    return tuple(sorted({*PARTS, *(name for name in named if not is_left_out(name))}))


def _searched(root: Path) -> Iterator[str]:
    """First part of each relative path in the search paths of `ansible.cfg`."""
    config = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        config.read(root / "ansible.cfg", encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        # Ansible says why it cannot read the file.
        return
    for name, value in config["defaults"].items() if config.has_section("defaults") else ():
        if not _SEARCH_PATH.fullmatch(name):
            continue
        for path in value.split(":"):
            inside = os.path.normpath(path.strip()).split("/")
            if path.strip() and inside[0] not in ("", ".", "..", "~") and (root / inside[0]).is_dir():
                yield inside[0]


def is_left_out(name: str) -> bool:
    """Whether files and directories of this name are left out: version control, caches, editors' backup files."""
    return name in _LEFT_OUT_NAMES or name.endswith(_LEFT_OUT_ENDS) or name.startswith(_LEFT_OUT_BEGINNINGS)


def pack(root: Path, inventory: str, *, limit: int = ARCHIVE_BYTES) -> PackedTree:
    """Pack the policy tree in `root`; `inventory` is the path inside it of the inventory that the revision uses.

    What a link points to is packed as well, wherever it is in `root`. Raises `TreeFaulty` if the inventory is missing
    or outside the tree, if the tree contains anything but files, directories and links, if a link points outside
    `root`, or if the archive would exceed `limit` bytes.
    """
    root = root.resolve()
    inventory = _inventory_inside(root, inventory)
    parts = parts_of(root, inventory)
    try:
        paths = sorted(_walk(root, parts), key=lambda path: path.relative_to(root).as_posix())
        content = _archive(root, paths, inventory, limit)
    except OSError as error:
        name = os.fsdecode(error.filename or "").removeprefix(f"{root}/")
        raise TreeFaulty(f"{name or root} cannot be read: {error.strerror}.") from error
    files = frozenset(path.relative_to(root).as_posix() for path in _named(paths))
    tops = {path.relative_to(root).parts[0] for path in paths}
    return PackedTree(hashlib.sha256(content).hexdigest(), content, files, tuple(sorted({*parts, *tops})))


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
        raise TreeFaulty(f"There is no inventory {inventory} in {root}{_candidates(root)}.") from None
    except ValueError:
        raise TreeFaulty(
            f"The inventory {inventory} is outside the policy tree {root}: move it into the tree, or give a directory "
            "that holds both as the root."
        ) from None
    if not inside.parts:
        raise TreeFaulty(
            f"The inventory is the whole policy tree: name the file or the directory that has the hosts"
            f"{_candidates(root)}."
        )
    if any(is_left_out(part) for part in inside.parts) or inside.parts[0] == MANIFEST:
        raise TreeFaulty(f"The inventory {inventory} has a name that no policy may use: rename it.")
    return inside.as_posix()


def _candidates(root: Path) -> str:
    """Inventories that are there, for whoever gave none or a wrong one."""
    found = [
        path.relative_to(root).as_posix()
        for pattern in ("inventory", "inventory/*", "inventories/*", "hosts", "hosts.yml", "hosts.ini")
        for path in sorted(root.glob(pattern))
        if path.name not in ("group_vars", "host_vars") and not is_left_out(path.name)
    ]
    if not found:
        return ""
    return f"; there are {', '.join(found[:_MOST_CANDIDATES])}: choose one with --inventory or IMS_INVENTORY"


def _walk(root: Path, parts: Iterable[str]) -> set[Path]:
    """All paths of the tree, including directories, the targets of links and the directories that hold those."""
    found: set[Path] = set()
    walked: set[Path] = set()
    waiting = [path for part in parts if os.path.lexists(path := root / part)]
    while waiting:
        path = waiting.pop()
        if path in walked:
            continue
        walked.add(path)
        found.add(path)
        if path.is_symlink():
            target = _target(root, path)
            found.update(above for above in target.parents if above != root and above.is_relative_to(root))
            waiting.append(target)
        elif path.is_dir():
            waiting.extend(child for child in path.iterdir() if not is_left_out(child.name))
    return found


def _named(paths: Iterable[Path]) -> Iterator[Path]:
    """Every file, also by the path that leads through a link to its directory."""
    real = [path for path in paths if path.is_file()]
    yield from real
    for link in paths:
        if link.is_symlink() and link.is_dir():
            target = link.resolve()
            yield from (link / path.relative_to(target) for path in real if path.is_relative_to(target))


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


def _target(root: Path, path: Path) -> Path:
    """What a link leads to, without links in its path. Raises `TreeFaulty` if that cannot be part of the policy."""
    link = f"{path.relative_to(root).as_posix()} is a link to {path.readlink()}"
    try:
        target = path.resolve(strict=True)
    except (FileNotFoundError, NotADirectoryError):
        raise TreeFaulty(f"{link}, which does not exist: correct the link or remove it.") from None
    except (RuntimeError, OSError) as error:
        # Before Python 3.13 a loop is a RuntimeError.
        if isinstance(error, OSError) and error.errno != errno.ELOOP:
            raise
        raise TreeFaulty(f"{link}, which leads back to the link: correct the link or remove it.") from None
    if not target.is_relative_to(root):
        raise TreeFaulty(
            f"{link}, outside the policy tree {root}: replace it with the file itself, or give a directory that holds "
            "both as the root."
        )
    if target == root:
        raise TreeFaulty(f"{link}, the whole policy tree: link to the directory that is needed.")
    left_out = [part for part in target.relative_to(root).parts if is_left_out(part)]
    if left_out or target == root / MANIFEST:
        raise TreeFaulty(f"{link}, and a policy never has files named {(left_out or [MANIFEST])[0]}: rename it.")
    return target


def _link(root: Path, path: Path, names: frozenset[str]) -> str:
    """The target of a link, relative to the link's directory; through another link if that is in the archive."""
    target = _target(root, path)
    through = Path(os.path.normpath(path.parent / path.readlink()))
    is_kept = through.is_relative_to(root) and through.relative_to(root).as_posix() in names
    if is_kept and through.resolve() == target:
        target = through
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
