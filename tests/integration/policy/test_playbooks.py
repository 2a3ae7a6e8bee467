"""What `policy check` says of playbooks that Ansible could not run."""

from pathlib import Path

import pytest

from tests.integration.policy.conftest import Write, faults, read

PLAYBOOK = "playbooks/heal/restart_service.yml"
HEAD = "- hosts: services\n  gather_facts: false\n"


def tasks(*lines: str) -> str:
    return HEAD + "  tasks:\n" + "".join(f"    {line}\n" for line in lines)


def test_every_fault_of_a_playbook_is_reported_with_its_line(tree: Path, write: Write) -> None:
    write(
        f"/{PLAYBOOK}",
        HEAD
        + "  roles:\n    - geerlingguy.nginx\n    - role: other.role\n"
        + "  tasks:\n"
        + "    - name: Two modules in one task\n      ansible.builtin.debug:\n      ansible.builtin.command: w\n"
        + "    - name: A collection that nobody installed\n      acme.platform.restart_pod: {name: x}\n"
        + "    - block:\n        - ansible.builtin.import_tasks: missing.yml\n"
        + "      rescue:\n        - ansible.builtin.debug: {msg: a}\n          wen: true\n",
    )
    found = faults(tree)
    assert [fault.split(": ")[0] for fault in found] == [
        f"{PLAYBOOK}:{at}" for at in ("4:7", "5:7", "7:7", "10:7", "13:11", "15:11")
    ]
    for fault, words in zip(
        found,
        (
            "geerlingguy.nginx",
            "other.role",
            "conflicting action statements",
            "acme.platform.restart_pod",
            "missing.yml, which is not there",
            "wen",
        ),
        strict=True,
    ):
        assert words in fault
    assert not any("/tmp" in fault for fault in found)


@pytest.mark.parametrize(
    ("content", "place", "words"),
    [
        (HEAD + "  vars_files: [secrets.yml]\n  tasks: []\n", "3:16", "secrets.yml, which is not there"),
        (HEAD + "  vars_files: [[a.yml, b.yml]]\n  tasks: []\n", "3:17", "a.yml or b.yml, which is not there"),
        (tasks("- ansible.builtin.include_vars: more.yml"), "4:7", "more.yml, which is not there"),
        (tasks("- ansible.builtin.include_vars: {file: more.yml}"), "4:7", "more.yml, which is not there"),
        (tasks("- ansible.builtin.include_tasks: more.yml"), "4:7", "more.yml, which is not there"),
        (tasks("- include_tasks: {file: more.yml}"), "4:", "more.yml, which is not there"),
        (tasks("- ansible.builtin.include_role: {name: nowhere}"), "4:", "the role 'nowhere' was not found"),
        (tasks("- ansible.builtin.import_role: {name: nowhere}"), "4:", "the role 'nowhere' was not found"),
        (tasks("- comand: /bin/true"), "4:7", "couldn't resolve module/action 'comand'"),
        (HEAD + "  taks: []\n", "3:3", "'taks' is not a valid attribute for a Play"),
        (HEAD + "  handlers:\n    - name: a\n      blok: {}\n", "4:7", "couldn't resolve module/action 'blok'"),
        (HEAD + "- import_playbook: other.yml\n", "3:", "other.yml, which is not there"),
        (tasks("- ansible.builtin.debug: {msg: a", "   b: [}"), "5:", "YAML parsing failed"),
    ],
)
def test_what_cannot_be_loaded_is_a_fault(tree: Path, write: Write, content: str, place: str, words: str) -> None:
    write(f"/{PLAYBOOK}", content)
    (found,) = faults(tree)
    assert found.startswith(f"{PLAYBOOK}:{place}")
    assert words in found


def test_what_is_imported_and_included_is_followed_into_its_files(tree: Path, write: Write) -> None:
    write(f"/{PLAYBOOK}", tasks("- ansible.builtin.import_tasks: parts/one.yml", "- include_role: {name: web}"))
    write("/playbooks/heal/parts/one.yml", "- ansible.builtin.include_tasks: two.yml\n")
    write("/playbooks/heal/parts/two.yml", "- ansible.builtin.comand: x\n")
    write("/playbooks/heal/roles/web/tasks/main.yml", "- include_tasks: more.yml\n- include_tasks: gone.yml\n")
    write("/playbooks/heal/roles/web/tasks/more.yml", "- ansible.builtin.debug:\n  mgs: a\n")
    write("/playbooks/heal/roles/web/handlers/main.yml", "- name: Restart web\n  ansible.builtin.servis: {name: web}\n")
    write("/playbooks/heal/roles/web/meta/main.yml", "dependencies: [base]\n")
    assert [fault.split(": ")[0] for fault in faults(tree)] == [
        "playbooks/heal/parts/two.yml:1:3",
        "playbooks/heal/roles/web/handlers/main.yml:1:3",
        "playbooks/heal/roles/web/meta/main.yml:1:16",
        "playbooks/heal/roles/web/tasks/main.yml:2:3",
        "playbooks/heal/roles/web/tasks/more.yml:1:3",
    ]


def test_a_role_and_a_module_beside_the_playbook_and_a_collection_of_the_policy_are_found(
    tree: Path, write: Write
) -> None:
    write("/ansible.cfg", "[defaults]\nroles_path = roles\ncollections_path = collections\n")
    write("/collections/ansible_collections/acme/tools/plugins/modules/say.py", "#!/usr/bin/python\n")
    write("/collections/ansible_collections/acme/tools/roles/base/tasks/main.yml", "- acme.tools.say:\n")
    write("/roles/web/tasks/main.yml", "- own_module:\n- ansible.builtin.include_tasks: again.yml\n")
    write("/roles/web/tasks/again.yml", "- ansible.builtin.include_tasks: again.yml\n  when: false\n")
    write("/roles/web/library/own_module.py", "#!/usr/bin/python\n")
    write("/playbooks/heal/library/beside.py", "#!/usr/bin/python\n")
    write("/playbooks/heal/vars/some.yml", "a: 1\n")
    write(
        f"/{PLAYBOOK}",
        HEAD
        + "  vars_files: [some.yml, '{{ any }}.yml', [no.yml, some.yml]]\n  roles: [web, acme.tools.base]\n  tasks:\n"
        + "    - beside:\n    - include_tasks: '{{ any }}.yml'\n    - include_role: {name: '{{ any }}'}\n"
        + "    - include_vars: '{{ any }}.yml'\n    - include_vars: {dir: vars}\n",
    )
    assert read(tree).warnings == ()


def test_a_module_beside_one_playbook_is_not_found_by_another(tree: Path, write: Write) -> None:
    write("/playbooks/a/one.yml", tasks("- beside:"))
    write("/playbooks/a/library/beside.py", "#!/usr/bin/python\n")
    write("/playbooks/b/two.yml", tasks("- beside:"))
    rule = "  - {{name: {0}, match: {{alertname: {0}}}, playbook: playbooks/{1}}}\n"
    write(
        "group_vars/all/healing.yml", "healing_rules:\n" + rule.format("a", "a/one.yml") + rule.format("b", "b/two.yml")
    )
    (found,) = faults(tree)
    assert found.startswith("playbooks/b/two.yml:4:7")


def test_an_import_by_a_variable_that_only_a_run_has_is_no_fault(tree: Path, write: Write) -> None:
    rule = "healing_rules:\n  - {name: a, match: {alertname: A}, playbook: %s, parameters: {step: {default: x}}}\n"
    write("group_vars/all/healing.yml", rule % PLAYBOOK)
    write(f"/{PLAYBOOK}", tasks("- import_tasks: '{{ step }}.yml'", "- import_tasks: '{{ alert.labels.step }}.yml'"))
    read(tree)
    write(f"/{PLAYBOOK}", tasks("- import_tasks: '{{ stop }}.yml'"))
    (found,) = faults(tree)
    assert found.startswith(f"{PLAYBOOK}:4:")
    assert "'stop' is undefined" in found


def test_what_nobody_waits_for_is_a_warning(tree: Path, write: Write) -> None:
    job = "ansible.builtin.command: sleep 9, async: 60, poll: 0"
    write(
        f"/{PLAYBOOK}",
        tasks(
            f"- {{name: Forgotten, {job}}}",
            f"- {{name: Waited for, {job}, register: job}}",
            f"- {{name: Also, {job}, register: jobs, loop: [1, 2]}}",
            "- {name: Polled, ansible.builtin.command: sleep 9, async: 60, poll: 5}",
            "- {name: In a check of syntax only, ansible.builtin.command: sleep 9, poll: 0}",
            "- ansible.builtin.async_status: {jid: '{{ job.ansible_job_id }}'}",
            "- ansible.builtin.async_status: {jid: '{{ item.ansible_job_id }}'}",
            "  loop: '{{ jobs.results }}'",
        ),
    )
    (warning,) = read(tree).warnings
    assert (warning.file, warning.line) == (PLAYBOOK, 4)
    assert "`poll: 0`, and nobody waits for it" in warning.message


def test_a_plugin_that_ends_the_reader_of_a_playbook_is_reported(tree: Path, write: Write) -> None:
    write("/playbooks/heal/lookup_plugins/bad.py", "import os\nos._exit(3)\n")
    write(f"/{PLAYBOOK}", tasks("- import_tasks: \"{{ lookup('bad') }}.yml\""))
    assert faults(tree) == [f"{PLAYBOOK}: could not be loaded: something of the policy ended Ansible."]
