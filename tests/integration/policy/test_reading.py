"""Policies read by the real Ansible."""

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ims.policy import reader
from ims.policy.reader import ReaderFailed, read_tree
from ims.policy.revision import make_revision
from tests.integration.policy.conftest import INVENTORY, Write, faults, read

VAULT_PASSWORD = "only for tests"


def encrypt(directory: Path, text: str) -> tuple[Path, str]:
    """A password file, and `text` encrypted with it as an inline vault value."""
    password = directory / "vault-password"
    password.write_text(VAULT_PASSWORD)
    program = Path(sys.executable).with_name("ansible-vault")
    done = subprocess.run(
        [program, "encrypt_string", "--vault-password-file", password, text],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=directory,
        env={"PATH": os.environ["PATH"], "HOME": str(directory), "LC_ALL": "C.UTF-8"},
    )
    return password, done.stdout.strip()


def indented(block: str, spaces: int) -> str:
    return block.replace("\n          ", "\n" + " " * spaces)


def test_services_are_read_rendered_with_group_variables(tree: Path) -> None:
    policy = read(tree).policy
    web = policy.services["web"]
    assert web.url == "http://127.0.0.1:8080/health"
    assert web.instances == ("127.0.0.1:8080",)
    assert (web.owner, web.unit, web.service_recovery) == ("alice", "web.service", "ims")
    assert policy.services["db"].url is None
    assert policy.healing_rules[0].attempts == 2
    assert set(policy.hosts) == {"db", "local", "web"}
    assert policy.groups["services"] == ("db", "web")


def test_only_declared_variables_leave_the_reader(tree: Path, write: Write) -> None:
    write("group_vars/services.yml", "database_password: swordfish\n")
    revision = read(tree)
    assert "swordfish" not in revision.policy.model_dump_json()


def test_a_service_may_use_another_hosts_variables(tree: Path, write: Write) -> None:
    write("host_vars/db.yml", "url: \"{{ hostvars['web'].url }}/db\"\n")
    assert read(tree).policy.services["db"].url == "http://127.0.0.1:8080/health/db"


def test_a_single_file_is_an_inventory_too(tree: Path) -> None:
    revision = make_revision(tree, f"{INVENTORY}/hosts.yml", environment={"PATH": os.environ["PATH"]})
    assert revision.policy.services["web"].url == "http://127.0.0.1:8080/health"


def test_every_broken_file_is_reported_with_its_line(tree: Path, write: Write) -> None:
    write("hosts.yml", "services:\n  hosts:\n    web: {\n")
    write("group_vars/all/platform.yml", "address: 1\nweb_port: [\n")
    found = faults(tree)
    assert [line.split(": ")[0] for line in found] == [
        f"{INVENTORY}/group_vars/all/platform.yml:3:1",
        f"{INVENTORY}/hosts.yml:4:1",
    ]


def test_an_inventory_of_the_wrong_shape_says_what_is_wrong(tree: Path, write: Write) -> None:
    write("hosts.yml", "services:\n  hosts: [web]\n")
    found = faults(tree)
    assert len(found) == 1
    assert found[0].startswith(f"{INVENTORY}/hosts.yml")
    assert "requires a dictionary, found list" in found[0]


def test_variables_that_are_no_mapping_are_reported(tree: Path, write: Write) -> None:
    write("group_vars/all/platform.yml", "- a\n")
    assert faults(tree) == [
        f"{INVENTORY}/group_vars/all/platform.yml:1:1: must be a mapping of variable names to values."
    ]


def test_a_platform_without_tasks_has_the_line_where_it_is_named(tree: Path, write: Write) -> None:
    write("/roles/managed_service/tasks/platforms/systemd.yml", "[]\n")
    write("host_vars/web.yml", "description: The shop\nplatform: kubernetes\n")
    write("host_vars/db.yml", "platform: systemd\n")
    assert faults(tree) == [
        f"{INVENTORY}/host_vars/web.yml:2:11: services.web.platform: 'kubernetes' is not a platform of the role "
        "managed_service, which has: systemd. Use one of them, or add "
        "roles/managed_service/tasks/platforms/kubernetes.yml."
    ]


def test_a_fault_inside_a_rule_has_the_line_of_its_key(tree: Path, write: Write) -> None:
    path = write("group_vars/all/healing.yml", "")
    path.write_text(
        "healing_mode: off\n"
        "healing_rules:\n"
        "  - name: a\n"
        "    match: {alertname: X}\n"
        "    playbook: playbooks/heal/restart_service.yml\n"
        "    safe_to_repeat: maybe\n"
        "    verify:\n"
        "      within: 10\n"
        "      intervall: 1\n"
    )
    file = f"{INVENTORY}/group_vars/all/healing.yml"
    found = faults(tree)
    assert found[0].startswith(f"{file}:6:5: healing_rules.0.safe_to_repeat: must be true or false")
    assert found[1].startswith(f"{file}:9:7: healing_rules.0.verify.intervall: is unknown; did you mean interval")


def test_maintenance_windows_are_read_and_their_faults_have_lines(tree: Path, write: Write) -> None:
    path = write("group_vars/all/maintenance.yml", "")
    sound = (
        "maintenance_windows:\n"
        "  - name: patching\n"
        "    groups: [services]\n"
        "    from: 2026-03-01 02:00\n"
        "    to: 2026-03-01 04:00:00\n"
        "    timezone: Europe/Berlin\n"
        "    rrule: FREQ=WEEKLY;BYDAY=SU\n"
    )
    path.write_text(sound)
    (window,) = read(tree).policy.maintenance_windows
    assert (window.begins.hour, window.ends.hour) == (2, 4)
    path.write_text(sound.replace("WEEKLY", "SECONDLY") + "    services: [wob]\n")
    file = f"{INVENTORY}/group_vars/all/maintenance.yml"
    (found,) = faults(tree)
    assert found.startswith(f"{file}:2:")
    assert "rrule: FREQ must be one of" in found
    path.write_text(sound + "    services: [wob]\n")
    (found,) = faults(tree)
    assert found.startswith(f"{file}:8:")
    assert "did you mean web" in found


def test_a_misspelt_group_variable_is_reported_where_it_stands(tree: Path, write: Write) -> None:
    write("group_vars/all/more.yml", "# ours\nhealing_ruls: []\n")
    write("group_vars/services.yml", "runbok: docs/x.md\n")
    found = faults(tree)
    assert found[0].startswith(f"{INVENTORY}/group_vars/all/more.yml:2:")
    assert "did you mean healing_rules" in found[0]
    assert found[1].startswith(f"{INVENTORY}/group_vars/services.yml:1:")
    assert len(found) == 2  # once, although two services have it


def test_a_template_fault_in_one_variable_hides_no_other(tree: Path, write: Write) -> None:
    write("host_vars/web.yml", 'url: "http://{{ adress }}/"\n')
    write("host_vars/db.yml", 'url: "http://{{ address "\nowner: 3\n')
    found = faults(tree)
    assert found[0].startswith(f"{INVENTORY}/host_vars/db.yml:1:6: services.db.url: cannot be rendered: Syntax error")
    assert found[1].startswith(f"{INVENTORY}/host_vars/db.yml:2:8: services.db.owner: must be text")
    assert found[2] == f"{INVENTORY}/host_vars/web.yml:1:6: services.web.url: cannot be rendered: 'adress' is undefined"


def test_a_value_that_depends_on_where_the_policy_lies_is_refused(tree: Path, write: Write) -> None:
    write("host_vars/db.yml", 'description: "see {{ inventory_dir }}/README"\n')
    assert "differs on every machine" in faults(tree)[0]


def test_a_setting_on_one_host_is_refused(tree: Path, write: Write) -> None:
    write("host_vars/web.yml", "healing_mode: observe\n")
    assert faults(tree) == [
        f"{INVENTORY}/host_vars/web.yml:1:15: services.web.healing_mode: "
        "healing_mode applies to the whole policy: set it in group_vars/all only."
    ]


def test_an_encrypted_value_needs_the_password_only_where_it_matters(tree: Path, write: Write, tmp_path: Path) -> None:
    password, value = encrypt(tmp_path, "http://secret.example/")
    write("group_vars/all/unrelated.yml", f"token: {value}\n")
    assert read(tree).policy.services["db"].url is None

    write("host_vars/db.yml", f"url: {value}\n")
    found = faults(tree)
    assert len(found) == 1
    assert found[0].startswith(f"{INVENTORY}/host_vars/db.yml:1:")
    assert "set vault_password_file" in found[0]

    write("/ansible.cfg", f"[defaults]\nvault_password_file = {password}\n")
    revision = read(tree)
    assert revision.policy.services["db"].url == "http://secret.example/"
    assert revision.warnings == ()


def test_what_only_a_playbook_decrypts_is_a_warning_with_its_line(tree: Path, write: Write, tmp_path: Path) -> None:
    _, value = encrypt(tmp_path, "swordfish")
    write("group_vars/services.yml", f"db:\n  passwords:\n    - {indented(value, 8)}\n")
    (warning,) = read(tree).warnings
    assert str(warning).startswith(f"{INVENTORY}/group_vars/services.yml:3:")
    assert "db is encrypted and no vault password of the policy fits" in warning.message


@pytest.mark.parametrize("variable", ["ANSIBLE_VAULT_PASSWORD_FILE", "ANSIBLE_VAULT_IDENTITY_LIST"])
def test_a_vault_password_that_a_run_would_not_have_is_refused(
    tree: Path, write: Write, tmp_path: Path, variable: str
) -> None:
    password, value = encrypt(tmp_path, "swordfish")
    write("group_vars/services.yml", f"db_password: {value}\n")
    (found,) = faults(tree, **{variable: str(password)})
    assert found.startswith(f"{INVENTORY}/group_vars/services.yml:1:")
    assert f"{variable} of this shell is not used" in found
    write("/ansible.cfg", f"[defaults]\nvault_password_file = {password}\n")
    assert read(tree, **{variable: str(password)}).warnings == ()


def test_an_encrypted_file_without_password_is_reported(tree: Path, write: Write) -> None:
    write("group_vars/all/secret.yml", "$ANSIBLE_VAULT;1.1;AES256\n6162\n")
    found = faults(tree)
    assert found[0].startswith(f"{INVENTORY}/group_vars/all/secret.yml: ")
    assert "set vault_password_file" in found[0]


def test_a_vault_password_file_that_is_missing_is_reported(tree: Path, write: Write, tmp_path: Path) -> None:
    write("/ansible.cfg", f"[defaults]\nvault_password_file = {tmp_path / 'nowhere'}\n")
    found = faults(tree)
    assert "vault password cannot be read" in found[0]


def test_variables_beside_the_caller_or_the_playbooks_are_not_read(
    tree: Path, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars/all.yml").write_text("web_port: 1\nhealing_rules: broken\n")
    write("/group_vars/all.yml", "web_port: 2\n")
    write("/playbooks/group_vars/all.yml", "web_port: 3\n")
    monkeypatch.chdir(tmp_path)
    assert read(tree).policy.services["web"].url == "http://127.0.0.1:8080/health"
    monkeypatch.chdir(tree)
    assert read(tree).policy.services["web"].url == "http://127.0.0.1:8080/health"


def test_an_executable_in_the_inventory_is_refused_and_not_run(tree: Path, write: Write, tmp_path: Path) -> None:
    trace = tmp_path / "was-run"
    script = write("hosts.sh", f"#!/bin/sh\ntouch {trace}\necho '{{}}'\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    found = faults(tree)
    assert found[0].startswith(f"{INVENTORY}/hosts.sh: is not an inventory source that IMS reads")
    assert not trace.exists()


def test_a_plugin_that_asks_another_system_is_refused(tree: Path, write: Write) -> None:
    write("cloud.yml", "plugin: amazon.aws.aws_ec2\n")
    assert faults(tree)[0].startswith(f"{INVENTORY}/cloud.yml: is not an inventory source that IMS reads")


def test_groups_may_be_constructed(tree: Path, write: Write) -> None:
    write(
        "zz_constructed.yml",
        'plugin: ansible.builtin.constructed\nstrict: false\ngroups:\n  mine: owner is defined and owner == "alice"\n',
    )
    assert read(tree).policy.groups["mine"] == ("db", "web")


def test_a_playbook_that_is_none_is_reported(tree: Path, write: Write) -> None:
    write("/playbooks/heal/restart_service.yml", "hosts: services\n")
    assert faults(tree) == ["playbooks/heal/restart_service.yml:1:1: is not a playbook: it must be a list of plays."]
    write("/playbooks/heal/restart_service.yml", "- hosts: services\n  tasks: [\n")
    assert faults(tree)[0].startswith("playbooks/heal/restart_service.yml:3:1: YAML parsing failed")


@pytest.mark.parametrize(
    ("hosts", "sound"),
    [("services", True), ("all", True), ("web", True), ("machines", False), ("localhost", False), ('"{{ x }}"', True)],
)
def test_a_playbook_must_touch_services(tree: Path, write: Write, hosts: str, sound: bool) -> None:
    write("/playbooks/heal/restart_service.yml", f"- hosts: {hosts}\n  tasks: []\n")
    if sound:
        read(tree)
    else:
        assert "hosts: services" in faults(tree)[0]


def test_what_a_policy_prints_while_it_is_read_disturbs_nothing(tree: Path, write: Write) -> None:
    write(
        "/filter_plugins/loud.py",
        "print('hello')\nclass FilterModule:\n    def filters(self): return {'loud': str.upper}\n",
    )
    write("host_vars/db.yml", "owner: \"{{ 'bob' | loud }}\"\n")
    assert read(tree).policy.services["db"].owner == "BOB"


def test_reading_writes_nothing_and_knows_no_environment(
    tree: Path, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMS_SECRET_KEY", "swordfish")
    home = tmp_path / "home"
    home.mkdir()
    write("host_vars/db.yml", "description: \"{{ lookup('pipe', 'env | grep -c swordfish || true') }}\"\n")
    write("/ansible.cfg", "[defaults]\nlog_path = ./ansible.log\ncallback_result_format = yaml\n")
    before = set(tmp_path.rglob("*"))
    policy = make_revision(tree, INVENTORY, environment={**os.environ, "HOME": str(home)}).policy
    assert policy.services["db"].description == "0"
    assert set(tmp_path.rglob("*")) == before


def test_a_reader_that_takes_too_long_is_ended_with_all_it_started(tree: Path, write: Write, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    write("host_vars/db.yml", f"owner: \"{{{{ lookup('pipe', 'echo $$ > {pid}; exec sleep 600') }}}}\"\n")
    with pytest.raises(ReaderFailed, match="longer than 8 s"):
        read_tree(
            tree,
            INVENTORY,
            settings=["healing_mode"],
            service_variables=["owner"],
            environment={"PATH": os.environ["PATH"]},
            deadline_seconds=8,
        )
    for _ in range(100):
        if not Path(f"/proc/{pid.read_text().strip()}").exists():
            return
        time.sleep(0.05)
    pytest.fail("the lookup's program is still there")


def test_an_answer_that_is_too_large_is_refused(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "ANSWER_BYTES", 10)
    with pytest.raises(ReaderFailed, match="larger than 10 bytes"):
        read(tree)


def test_a_reader_that_crashes_is_reported_and_not_taken_for_a_policy(tree: Path, write: Write) -> None:
    write("/filter_plugins/bad.py", "import os\nos._exit(3)\n")
    write("host_vars/db.yml", "owner: \"{{ 'bob' | bad }}\"\n")
    with pytest.raises(ReaderFailed, match="exit 3"):
        read(tree)


def test_a_thousand_services_are_read(tree: Path, write: Write, record_property: Callable[[str, object], None]) -> None:
    hosts = "".join(f"    s{n}:\n      url: 'http://{{{{ address }}}}:{n + 1}/health'\n" for n in range(1000))
    write(
        "hosts.yml",
        f"services:\n  hosts:\n{hosts}  vars:\n    owner: alice\n    unit: '{{{{ inventory_hostname }}}}'\n",
    )
    start = time.monotonic()
    policy = read(tree).policy
    record_property("seconds", round(time.monotonic() - start, 2))
    assert len(policy.services) == 1000
    assert policy.services["s999"].url == "http://127.0.0.1:1000/health"
