#!/usr/bin/env bash
# A play whose vars_files names a file that is not there runs as if nothing was missing.
#
# Versions: ansible-core 2.19.14.
# Expected: an error, as include_vars gives for the same name: the play says which variables it needs.
# Seen:     no warning, exit code 0, and the variables of that file are undefined, or have the value that another source
#           gives them.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check ansible-core==2.19.14

cat >"$work/vars_files.yml" <<'EOF'
- hosts: target
  gather_facts: false
  vars_files: [limits.yml]
  tasks:
    - ansible.builtin.debug: {msg: "limit is {{ limit | default('not set') }}"}
EOF
cat >"$work/include_vars.yml" <<'EOF'
- hosts: target
  gather_facts: false
  tasks:
    - ansible.builtin.include_vars: limits.yml
EOF
cd "$work"
outcome() {
    local code=0
    ANSIBLE_HOME="$work/home" "$work/venv/bin/ansible-playbook" -i target, -c local "$1.yml" >"$work/out" 2>&1 || code=$?
    echo "$code, $(grep -c -e WARNING -e ERROR "$work/out" || true) warnings or errors"
}
silent=$(outcome vars_files)
grep -q "limit is not set" "$work/out" || { cat "$work/out" >&2; exit 1; }
loud=$(outcome include_vars)
echo "vars_files: exit $silent; include_vars: exit $loud"
if [ "$silent" != "0, 0 warnings or errors" ] || [ "${loud%%,*}" != 2 ]; then
    echo "CHANGED" >&2
    exit 1
fi
echo "as described"
