"""The policy tree as an archive, and back."""

import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ims.policy import unpacking
from ims.policy.tree import MANIFEST, TreeFaulty, inventory_of, pack
from ims.policy.unpacking import remove, unpack

INVENTORY = "inventory/local"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """Where revisions are unpacked; made removable again afterwards."""
    directory = tmp_path / "store"
    yield directory
    for inner in directory.iterdir() if directory.exists() else ():
        remove(inner)


def make_tree(root: Path, files: dict[str, bytes] | None = None) -> Path:
    (root / INVENTORY).mkdir(parents=True)
    (root / INVENTORY / "hosts.yml").write_text("services: {}\n")
    for name, content in (files or {"site.yml": b"[]\n", "playbooks/heal/x.yml": b"[]\n"}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def archive_of(*members: tuple[str, bytes, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind, link in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, link
            archive.addfile(member)
    return buffer.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_the_digest_is_the_sha256_of_the_archive(tree: Path) -> None:
    packed = pack(tree, INVENTORY)
    assert packed.digest == sha256(packed.archive)


def test_times_owners_and_order_of_creation_do_not_change_the_digest(tree: Path, tmp_path: Path) -> None:
    before = pack(tree, INVENTORY).digest
    other = make_tree(tmp_path / "other", {"playbooks/heal/x.yml": b"[]\n", "site.yml": b"[]\n"})
    for path in other.rglob("*"):
        os.utime(path, (1, 1))
    (other / "site.yml").chmod(0o600)
    assert pack(other, INVENTORY).digest == before


def test_content_names_and_executability_change_the_digest(tree: Path) -> None:
    digests = [pack(tree, INVENTORY).digest]
    (tree / "site.yml").write_text("[ ]\n")
    digests.append(pack(tree, INVENTORY).digest)
    (tree / "site.yml").chmod(0o755)
    digests.append(pack(tree, INVENTORY).digest)
    (tree / "playbooks/heal/x.yml").rename(tree / "playbooks/heal/y.yml")
    digests.append(pack(tree, INVENTORY).digest)
    (tree / "roles/empty").mkdir(parents=True)
    digests.append(pack(tree, INVENTORY).digest)
    assert len(set(digests)) == len(digests)


def test_another_inventory_of_the_same_tree_is_another_revision(tree: Path) -> None:
    (tree / "inventory/other").mkdir()
    one, two = pack(tree, INVENTORY), pack(tree, "inventory/other")
    assert one.digest != two.digest
    assert (inventory_of(one.archive), inventory_of(two.archive)) == (INVENTORY, "inventory/other")


@pytest.mark.parametrize(
    "name",
    [
        "ims/cli/main.py",
        "secrets/password",
        ".git/config",
        "roles/.git/config",
        "roles/x/__pycache__/a.pyc",
        "site.retry",
        "playbooks/heal/x.yml~",
        "playbooks/.#x.yml",
        "roles/.x.yml.swp",
    ],
)
def test_what_is_no_policy_is_left_out(tree: Path, name: str) -> None:
    (tree / "roles/x").mkdir(parents=True)
    before = pack(tree, INVENTORY).digest
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / name).write_text("x")
    assert pack(tree, INVENTORY).digest == before


def test_a_link_inside_the_tree_is_kept(tree: Path, store: Path) -> None:
    (tree / "playbooks/again.yml").symlink_to(tree / "playbooks/heal/x.yml")
    packed = pack(tree, INVENTORY)
    target = unpack(packed.digest, packed.archive, store)
    assert str((target / "playbooks/again.yml").readlink()) == "heal/x.yml"
    assert "playbooks/again.yml" in packed.files


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "nowhere.yml", "../ims/cli/main.py", "__pycache__"])
def test_a_link_to_something_outside_the_tree_is_refused(tree: Path, target: str) -> None:
    (tree / "playbooks/link.yml").symlink_to(target)
    with pytest.raises(TreeFaulty, match=r"playbooks/link\.yml is a link"):
        pack(tree, INVENTORY)


def test_a_pipe_in_the_tree_is_refused_and_not_read(tree: Path) -> None:
    os.mkfifo(tree / "playbooks/pipe")
    with pytest.raises(TreeFaulty, match="neither a file nor a directory"):
        pack(tree, INVENTORY)


def test_a_file_that_vanishes_while_it_is_packed_is_reported(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        if path.name == "x.yml":
            path.unlink()
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    with pytest.raises(TreeFaulty, match=r"^playbooks/heal/x\.yml cannot be read: No such file"):
        pack(tree, INVENTORY)


def test_a_tree_over_the_limit_is_refused_with_what_is_large(tree: Path) -> None:
    (tree / "roles/big/files").mkdir(parents=True)
    (tree / "roles/big/files/blob").write_bytes(b"x" * 100_000)
    with pytest.raises(TreeFaulty, match=r"roles/big/files \(\d+ KiB\)"):
        pack(tree, INVENTORY, limit=50_000)


@pytest.mark.parametrize("inventory", ["inventory/none", "../elsewhere", "/etc", ".", ".git"])
def test_an_inventory_that_is_not_in_the_tree_is_refused(tree: Path, inventory: str) -> None:
    (tree / ".git").mkdir()
    (tree.parent / "elsewhere").mkdir()
    with pytest.raises(TreeFaulty):
        pack(tree, inventory)


def test_the_inventory_may_be_named_in_several_ways(tree: Path) -> None:
    digests = {pack(tree, name).digest for name in (INVENTORY, f"./{INVENTORY}/", str(tree / INVENTORY))}
    assert len(digests) == 1


contents = st.dictionaries(
    st.builds(
        "/".join, st.lists(st.from_regex(r"[a-zA-Z0-9äß_.-]{1,40}", fullmatch=True), min_size=1, max_size=4)
    ).filter(lambda name: not set(name.split("/")) & {".", ".."}),
    st.binary(max_size=50),
    max_size=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(files=contents)
def test_what_was_packed_comes_back_and_packs_the_same(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    root = tmp_path_factory.mktemp("any") / "tree"
    (root / INVENTORY).mkdir(parents=True)
    for name, content in files.items():
        path = root / "roles" / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError:
            continue  # one name is a file and a directory at once
    packed = pack(root, INVENTORY)
    target = unpack(packed.digest, packed.archive, root.parent / "store")
    try:
        again = pack(target, INVENTORY)
        assert again.files == packed.files
        assert {name: (target / name).read_bytes() for name in packed.files} == {
            name: (root / name).read_bytes() for name in packed.files
        }
        assert again.digest == packed.digest
    finally:
        remove(target)


def test_an_unpacked_revision_is_read_only(tree: Path, store: Path) -> None:
    (tree / "site.yml").chmod(0o755)
    packed = pack(tree, INVENTORY)
    target = unpack(packed.digest, packed.archive, store)
    assert {path.stat().st_mode & 0o222 for path in (target, *target.rglob("*"))} == {0}
    assert (target / "site.yml").stat().st_mode & 0o111
    assert not (target / "playbooks/heal/x.yml").stat().st_mode & 0o111


def test_an_intact_revision_is_used_again_and_a_damaged_one_is_replaced(
    tree: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = pack(tree, INVENTORY)
    target = unpack(packed.digest, packed.archive, store)
    inode = target.stat().st_ino
    monkeypatch.setattr(unpacking, "_seen_intact", {})  # as another process
    assert unpack(packed.digest, packed.archive, store).stat().st_ino == inode

    (target / "site.yml").chmod(0o600)
    (target / "site.yml").write_text("[{hosts: all}]\n")
    monkeypatch.setattr(unpacking, "_seen_intact", {})
    again = unpack(packed.digest, packed.archive, store)
    assert again == target
    assert (again / "site.yml").read_text() == "[]\n"
    assert [path.name for path in store.iterdir() if path.is_dir()] == [packed.digest]


@pytest.mark.parametrize("damage", ["missing", "added", "mode"])
def test_every_kind_of_damage_is_found(tree: Path, store: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    packed = pack(tree, INVENTORY)
    target = unpack(packed.digest, packed.archive, store)
    (target / "playbooks").chmod(0o755)
    (target / "playbooks/heal").chmod(0o755)
    if damage == "missing":
        (target / "playbooks/heal/x.yml").unlink()
    elif damage == "added":
        (target / "playbooks/new.yml").write_text("[]")
    else:
        (target / "playbooks/heal/x.yml").chmod(0o666)
    monkeypatch.setattr(unpacking, "_seen_intact", {})
    unpack(packed.digest, packed.archive, store)
    assert (target / "playbooks/heal/x.yml").stat().st_mode & 0o777 == 0o444
    assert not (target / "playbooks/new.yml").exists()


def test_a_cache_beside_a_plugin_is_no_damage(tree: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack(tree, INVENTORY)
    target = unpack(packed.digest, packed.archive, store)
    (target / "playbooks").chmod(0o755)
    (target / "playbooks/__pycache__").mkdir()
    (target / "playbooks/__pycache__/x.pyc").write_bytes(b"")
    inode = target.stat().st_ino
    monkeypatch.setattr(unpacking, "_seen_intact", {})
    assert unpack(packed.digest, packed.archive, store).stat().st_ino == inode


def test_many_at_once_get_one_whole_tree(tree: Path, store: Path) -> None:
    packed = pack(tree, INVENTORY)
    found: list[Path] = []
    start = threading.Barrier(8)

    def work() -> None:
        start.wait(10)
        found.append(unpack(packed.digest, packed.archive, store))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [store / packed.digest] * 8
    assert [path.name for path in store.iterdir() if path.is_dir()] == [packed.digest]
    assert (store / packed.digest / MANIFEST).is_file()


def test_an_archive_with_another_digest_is_refused_and_leaves_nothing(tree: Path, store: Path) -> None:
    packed = pack(tree, INVENTORY)
    with pytest.raises(TreeFaulty, match="digest"):
        unpack("0" * 64, packed.archive, store)
    assert not store.exists()


@pytest.mark.parametrize(
    "members",
    [
        [("../evil", tarfile.REGTYPE, "")],
        [("/evil", tarfile.REGTYPE, "")],
        [("a/../../evil", tarfile.REGTYPE, "")],
        [("d", tarfile.DIRTYPE, ""), ("d/l", tarfile.SYMTYPE, "/etc")],
        [("l", tarfile.SYMTYPE, "../out")],
        [("l", tarfile.SYMTYPE, "nothing")],
        [("d", tarfile.DIRTYPE, ""), ("l", tarfile.SYMTYPE, "d"), ("l/evil", tarfile.REGTYPE, "")],
        [("h", tarfile.LNKTYPE, "/etc/passwd")],
        [("pipe", tarfile.FIFOTYPE, "")],
        [("device", tarfile.CHRTYPE, "")],
        [("twice", tarfile.REGTYPE, ""), ("twice", tarfile.REGTYPE, "")],
        [(".", tarfile.DIRTYPE, "")],
        [(".", tarfile.REGTYPE, "")],
        [(".", tarfile.SYMTYPE, ".")],
        [("./", tarfile.DIRTYPE, ""), ("a", tarfile.REGTYPE, "")],
        [("", tarfile.DIRTYPE, "")],
        [("a/", tarfile.REGTYPE, "")],
    ],
)
def test_an_archive_that_no_policy_makes_writes_nothing(tmp_path: Path, members: list[tuple[str, bytes, str]]) -> None:
    content = archive_of(*members)
    store = tmp_path / "a" / "b" / "store"
    with pytest.raises(TreeFaulty):
        unpack(sha256(content), content, store)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TreeFaulty):
        unpack(sha256(b"nonsense"), b"nonsense", tmp_path)
    with pytest.raises(TreeFaulty):
        inventory_of(b"nonsense")
