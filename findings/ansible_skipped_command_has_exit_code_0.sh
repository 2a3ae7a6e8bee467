#!/usr/bin/env bash
# In check mode a skipped command registers exit code 0, so a plan goes on as if the command had succeeded.
#
# Versions: ansible-core 2.19.14.
# Expected: a command that did not run has no `rc`, as one skipped by `when` has none; a later condition on it fails.
# Seen:     rc 0, failed false and an empty stdout beside `skipped: true`. "Is the database there?" asked by a command is
#           answered yes by every --check, and what depends on a no is never shown.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check ansible-core==2.19.14

cat >"$work/play.yml" <<'EOF'
- hosts: target
  gather_facts: false
  tasks:
    - ansible.builtin.command: "false"
      register: asked
      failed_when: false
    - ansible.builtin.command: "false"
      register: never
      when: false
    - ansible.builtin.debug:
        msg: "seen: rc {{ asked.rc }}, skipped {{ asked.skipped | default(false) }}; by when: {{ never.rc | default('no rc') }}"
EOF
cd "$work"
outcome() {
    ANSIBLE_HOME="$work/home" "$work/venv/bin/ansible-playbook" -i target, -c local \
        -e "ansible_python_interpreter=$work/venv/bin/python" "$@" play.yml | sed -nE 's/.*seen: (.*)".*/\1/p'
}
run=$(outcome)
plan=$(outcome --check)
echo "the command 'false', run: $run; --check: $plan"
if [ "$run" != "rc 1, skipped False; by when: no rc" ] || [ "$plan" != "rc 0, skipped True; by when: no rc" ]; then
    echo "CHANGED" >&2
    exit 1
fi
echo "as described"
