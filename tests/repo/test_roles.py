"""What roles, inventory and playbooks promise agrees with what they are."""

import configparser
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ims.policy.platforms import SHIPPED

ROOT = Path(__file__).parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
PLAYBOOKS = sorted((ROOT / "playbooks").rglob("*.yml"))


def load(path: Path) -> Any:
    """The YAML document of a file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def specification(role: str) -> dict[str, Any]:
    """The role's argument specification, entry point → specification."""
    return dict(load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"])


def defaults(role: str) -> dict[str, Any]:
    """The role's default variables."""
    return variables(ROOT / "roles" / role / "defaults")


def variables(folder: Path) -> dict[str, Any]:
    """What Ansible loads from a role's folder: `main.yml`, or all files of `main/`."""
    files = [folder / "main.yml"] if (folder / "main.yml").is_file() else sorted((folder / "main").glob("*.yml"))
    return {name: value for path in files for name, value in load(path).items()}


@pytest.mark.parametrize("role", ROLES)
def test_a_roles_specification_names_every_default_with_its_value(role: str) -> None:
    options = specification(role)["main"]["options"]
    assert {name: option.get("default") for name, option in options.items()} == defaults(role)


@pytest.mark.parametrize("role", ROLES)
def test_every_entry_point_agrees_with_the_main_one_and_has_its_tasks(role: str) -> None:
    entries = specification(role)
    main = entries["main"]["options"]
    for entry, content in entries.items():
        assert (ROOT / "roles" / role / "tasks" / f"{entry}.yml").is_file()
        assert content["short_description"]
        assert {name: main.get(name) for name in content["options"]} == content["options"]


@pytest.mark.parametrize("role", ROLES)
def test_every_role_variable_has_a_type_and_a_description_and_is_in_the_readme(role: str) -> None:
    readme = (ROOT / "roles" / role / "README.md").read_text(encoding="utf-8")
    for name, option in specification(role)["main"]["options"].items():
        assert option["type"], name
        assert option["description"], name
        assert f"`{name}`" in readme, name


@pytest.mark.parametrize("role", ROLES)
def test_a_roles_variables_carry_its_name(role: str) -> None:
    assert all(name.startswith(f"{role}_") for name in defaults(role))
    assert all(name.startswith(f"__{role}_") for name in variables(ROOT / "roles" / role / "vars"))


def test_the_policy_check_knows_the_platforms_that_the_role_has() -> None:
    files = (ROOT / "roles/managed_service/tasks/platforms").glob("*.yml")
    assert tuple(sorted(path.stem for path in files)) == SHIPPED


def test_a_platform_is_listed_nowhere_in_the_role_but_by_its_file() -> None:
    # Choices of the specification would refuse, in the middle of healing, what a policy added and its check accepted.
    assert "choices" not in specification("managed_service")["main"]["options"]["managed_service_platform"]


def test_the_states_that_the_role_takes_are_those_of_its_specification() -> None:
    states = variables(ROOT / "roles/managed_service/vars")["__managed_service_states"]
    assert specification("managed_service")["main"]["options"]["managed_service_state"]["choices"] == states


@pytest.mark.parametrize("platform", SHIPPED)
def test_the_variables_of_a_platform_are_in_its_own_files_and_carry_its_name(platform: str) -> None:
    for folder, prefix in (("defaults", "managed_service"), ("vars", "__managed_service")):
        for path in (ROOT / "roles/managed_service" / folder / "main").glob("*.yml"):
            named = {name.startswith(f"{prefix}_{platform}_") for name in load(path)}
            assert named == {path.stem == platform}, path


@pytest.mark.parametrize("role", ROLES)
def test_a_roles_main_tasks_are_a_table_of_contents(role: str) -> None:
    def modules(tasks: list[dict[str, Any]]) -> set[str]:
        found: set[str] = set()
        for task in tasks:
            found |= modules(task["block"]) if "block" in task else {key for key in task if key.startswith("ansible.")}
        return found

    assert modules(load(ROOT / "roles" / role / "tasks" / "main.yml")) <= {
        "ansible.builtin.import_tasks",
        "ansible.builtin.include_tasks",
    }


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_playbooks_that_act_on_services_target_them(playbook: Path) -> None:
    # Several services may be one machine: a provisioning play on `services` or `all` would run once for each.
    kind = playbook.relative_to(ROOT / "playbooks").parts[0]
    for play in load(playbook):
        if kind == "provision":
            assert play["hosts"] == "machines"
        if kind == "heal":
            assert play["hosts"] == "services"
            assert play["gather_facts"] is False


def test_site_imports_every_provisioning_playbook_once() -> None:
    imported = [play["ansible.builtin.import_playbook"] for play in load(ROOT / "site.yml")]
    assert sorted(imported) == sorted(str(path.relative_to(ROOT)) for path in PLAYBOOKS if "provision" in path.parts)


def test_every_healing_rule_names_a_playbook_of_this_repository() -> None:
    for rule in load(ROOT / "inventory/local/group_vars/all/healing.yml")["healing_rules"]:
        assert ROOT / rule["playbook"] in PLAYBOOKS


def test_requirements_name_every_collection_that_is_used() -> None:
    wanted = {entry["name"] for entry in load(ROOT / "requirements.yml")["collections"]}
    for file in [*ROOT.glob("roles/*/tasks/**/*.yml"), *ROOT.glob("roles/*/handlers/*.yml"), *PLAYBOOKS]:
        for line in file.read_text(encoding="utf-8").splitlines():
            word = line.strip().removeprefix("- ").partition(":")[0]
            if word.startswith(("community.", "ansible.posix.")):
                assert ".".join(word.split(".")[:2]) in wanted, f"{file}: {word}"


def test_the_configuration_names_folders_of_the_tree() -> None:
    parser = configparser.RawConfigParser()
    parser.read(ROOT / "ansible.cfg")
    for key in ("inventory", "roles_path", "collections_path"):
        assert (ROOT / parser.get("defaults", key)).is_dir()


def test_make_help_lists_every_target() -> None:
    output = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=20
    ).stdout
    assert [line.split()[1] for line in output.splitlines()] == [
        "help",
        "up",
        "down",
        "status",
        "demo",
        "test",
        "test-debian13",
        "lint",
        "bench",
    ]
