"""Shapes of repositories that people have: inventories elsewhere, links, names with capitals and underscores."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ims.policy.faults import FaultsFound
from ims.policy.git import git_state
from ims.policy.revision import Revision, make_revision
from ims.policy.tree import TreeFaulty, pack
from ims.policy.unpacking import remove, unpack
from tests.integration.policy.test_git import git

RULES = "healing_rules:\n  - {name: restart, match: {alertname: ServiceDown}, playbook: playbooks/heal/restart.yml}\n"
PLAYBOOK = "- hosts: services\n  gather_facts: false\n  tasks: []\n"
HOSTS = "[services]\nshop-1 ansible_host=192.0.2.10\nshop-2 ansible_host=192.0.2.11\n"

Shape = Callable[[dict[str, str]], Path]


@pytest.fixture
def shape(tmp_path: Path) -> Shape:
    """Write a repository; a content that begins with `->` is a link."""

    def write(files: dict[str, str]) -> Path:
        root = tmp_path / "repository"
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            if content.startswith("->"):
                (root / name).symlink_to(content.removeprefix("->"))
            else:
                (root / name).write_text(content)
        return root

    return write


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "store"
    yield directory
    for inner in directory.iterdir() if directory.exists() else ():
        remove(inner)


def revision(root: Path, inventory: str) -> Revision:
    return make_revision(root, inventory, environment={"PATH": os.environ["PATH"]})


@pytest.mark.parametrize("inventory", ["inventories/production", "inventories/production/hosts"])
def test_an_inventory_below_inventories(shape: Shape, inventory: str) -> None:
    root = shape(
        {
            "playbooks/heal/restart.yml": PLAYBOOK,
            "inventories/production/hosts": HOSTS,
            "inventories/production/group_vars/all.yml": RULES,
        }
    )
    policy = revision(root, inventory).policy
    assert (set(policy.services), [rule.name for rule in policy.healing_rules]) == ({"shop-1", "shop-2"}, ["restart"])


def test_an_inventory_file_at_the_top_has_its_variables_beside_it(shape: Shape) -> None:
    root = shape(
        {
            "ansible.cfg": "[defaults]\ninventory = hosts\nroles_path = roles:galaxy_roles\n",
            "hosts": "[services]\nDB_Server_01 ansible_host=192.0.2.20\nweb_02.Example.COM\n",
            "group_vars/all.yml": RULES,
            "playbooks/heal/restart.yml": PLAYBOOK,
            "galaxy_roles/geerlingguy.nginx/tasks/main.yml": "[]\n",
            "docs/secret.yml": "a: [\n",
        }
    )
    policy = revision(root, "hosts").policy
    assert set(policy.services) == {"DB_Server_01", "web_02.Example.COM"}
    assert len(policy.healing_rules) == 1
    files = pack(root, "hosts").files
    assert "galaxy_roles/geerlingguy.nginx/tasks/main.yml" in files
    assert "docs/secret.yml" not in files


def test_an_inventory_in_a_directory_of_any_name(shape: Shape) -> None:
    root = shape(
        {
            "environments/prod/hosts.yml": "services: {hosts: {shop: {}}}\n",
            "environments/prod/group_vars/all/rules.yml": RULES,
            "playbooks/heal/restart.yml": PLAYBOOK,
        }
    )
    assert len(revision(root, "environments/prod").policy.healing_rules) == 1


def test_a_link_to_variables_elsewhere_in_the_repository_is_followed(shape: Shape, store: Path) -> None:
    root = shape(
        {
            "shared/group_vars/all.yml": RULES,
            "shared/unrelated.yml": "x: 1\n",
            "inventory/hosts.yml": "services: {hosts: {shop: {service_recovery: ims}}}\n",
            "inventory/group_vars": "->../shared/group_vars",
            "playbooks/heal/restart.yml": PLAYBOOK,
        }
    )
    made = revision(root, "inventory")
    assert [rule.name for rule in made.policy.healing_rules] == ["restart"]
    unpacked = unpack(made.digest, made.archive, store)
    assert (unpacked / "inventory/group_vars/all.yml").read_text() == RULES
    assert not (unpacked / "shared/unrelated.yml").exists()


def test_a_fault_in_linked_variables_has_its_line(shape: Shape) -> None:
    root = shape(
        {
            "shared/group_vars/all.yml": "a: 1\nb: [\n",
            "inventory/hosts.yml": "services: {hosts: {shop: {}}}\n",
            "inventory/group_vars": "->../shared/group_vars",
        }
    )
    with pytest.raises(FaultsFound) as found:
        revision(root, "inventory")
    assert [str(fault).split(": ")[0] for fault in found.value.faults] == ["inventory/group_vars/all.yml:3:1"]


def test_linked_playbooks_and_chains_of_links(shape: Shape, store: Path) -> None:
    root = shape(
        {
            "common/heal/restart.yml": PLAYBOOK,
            "current": "->common",
            "playbooks/heal": "->../current/heal",
            "inventories/prod/hosts": HOSTS,
            "inventories/prod/group_vars/all.yml": RULES,
            "inventory/live": "->../inventories/prod",
        }
    )
    made = revision(root, "inventory/live")
    assert made.policy.healing_rules[0].playbook == "playbooks/heal/restart.yml"
    unpacked = unpack(made.digest, made.archive, store)
    assert (unpacked / "playbooks/heal/restart.yml").read_text() == PLAYBOOK


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("/etc/hostname", "outside the policy tree"),
        ("../../other", "which does not exist"),
        ("link", "leads back to the link"),
        ("..", "the whole policy tree"),
        ("../.git", "rename it"),
    ],
)
def test_a_link_that_cannot_be_packed_says_what_to_do(shape: Shape, target: str, message: str) -> None:
    root = shape({"inventory/hosts": HOSTS, "inventory/link": f"->{target}", ".git/HEAD": "ref: refs/heads/main\n"})
    with pytest.raises(TreeFaulty, match=rf"^inventory/link is a link to .*{message}"):
        revision(root, "inventory")


def test_a_link_that_a_checkout_made_a_file_is_a_fault(shape: Shape) -> None:
    # As Git does with core.symlinks=false: without a fault, the policy would silently have no rules.
    root = shape({"inventory/hosts": HOSTS, "inventory/group_vars": "../shared/group_vars"})
    with pytest.raises(FaultsFound) as found:
        revision(root, "inventory")
    assert [str(fault).split(",")[0] for fault in found.value.faults] == ["inventory/group_vars: is a file"]


def test_variables_below_the_inventory_that_ansible_does_not_read_are_a_warning(shape: Shape) -> None:
    root = shape(
        {
            "inventories/production/hosts": HOSTS,
            "inventories/production/group_vars/all.yml": RULES,
            "inventories/group_vars/all/group_vars/odd.yml": "x: 1\n",
            "playbooks/heal/restart.yml": PLAYBOOK,
        }
    )
    assert [str(warning).split(": Ansible")[0] for warning in revision(root, "inventories").warnings] == [
        "inventories/production/group_vars: is not read"
    ]
    assert revision(root, "inventories/production").warnings == ()


def test_a_missing_inventory_names_those_that_are_there(shape: Shape) -> None:
    root = shape({"inventories/production/hosts": HOSTS, "hosts": HOSTS})
    with pytest.raises(TreeFaulty, match=r"there are inventories/production, hosts: choose one with --inventory"):
        revision(root, "inventory/local")


def test_the_whole_tree_is_no_inventory(shape: Shape) -> None:
    with pytest.raises(TreeFaulty, match=r"name the file or the directory that has the hosts; there are hosts"):
        revision(shape({"hosts": HOSTS}), ".")


def test_changes_of_linked_files_and_of_the_inventory_are_changes_of_the_policy(shape: Shape) -> None:
    root = shape(
        {
            "shared/group_vars/all.yml": RULES,
            "environments/prod/hosts": HOSTS,
            "environments/prod/group_vars": "->../../shared/group_vars",
            "playbooks/heal/restart.yml": PLAYBOOK,
        }
    )
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "first")
    assert revision(root, "environments/prod").git.dirty is False
    (root / "shared/group_vars/all.yml").write_text(f"{RULES}healing_mode: observe\n")
    assert revision(root, "environments/prod").git.dirty is True
    assert git_state(root).dirty is False
