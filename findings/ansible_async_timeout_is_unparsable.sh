#!/usr/bin/env bash
# ansible-core 2.21 says of an async task that did not end in time that its results cannot be parsed.
#
# Versions: ansible-core 2.19.14 and 2.21.5; `python3` must be 3.12 or newer for the second.
# Expected: "async task did not complete within the requested time - 1s", as before.
# Seen:     2.21.5: "async task produced unparsable results". Whoever recognises a timeout by its text takes a job that
#           still runs for one that failed.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/play.yml" <<'EOF'
- hosts: localhost
  gather_facts: false
  connection: local
  vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}", ansible_async_dir: "{{ playbook_dir }}/async"}
  tasks:
    - ansible.builtin.command: sleep 3
      async: 1
      poll: 1
      ignore_errors: true
      register: slow
    - ansible.builtin.copy:
        dest: "{{ playbook_dir }}/seen"
        content: "{{ slow.msg }}"
EOF
seen() {
    python3 -m venv "$work/$1"
    "$work/$1/bin/pip" install --quiet --disable-pip-version-check "ansible-core==$1"
    (cd "$work" && ANSIBLE_HOME="$work/home" "$work/$1/bin/ansible-playbook" -i localhost, play.yml >out 2>&1) ||
        { cat "$work/out" >&2; exit 1; }
    cat "$work/seen"
}
before=$(seen 2.19.14)
now=$(seen 2.21.5)
printf '2.19.14: %s\n2.21.5: %s\n' "$before" "$now"
if [ "$before" != "async task did not complete within the requested time - 1s" ] ||
    [ "$now" != "async task produced unparsable results" ]; then
    echo "CHANGED" >&2
    exit 1
fi
echo "as described"
