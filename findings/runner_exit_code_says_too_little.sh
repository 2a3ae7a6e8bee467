#!/usr/bin/env bash
# ansible-runner calls a run without a single host "successful", and has one code for an unreachable host and a broken play.
#
# Versions: ansible-runner 2.4.3, ansible-core 2.19.14.
# Expected: nothing ran, so it is no success; and what a person must repair in Git differs from what a network did.
# Seen:     a play for a group that does not exist: status successful, rc 0, empty statistics. A play with a module that does
#           not exist and an unreachable host: both failed, rc 4; only the statistics differ, None for the broken play.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check ansible-runner==2.4.3 ansible-core==2.19.14

mkdir -p "$work/project" "$work/inventory"
cat >"$work/inventory/hosts" <<'EOF'
near ansible_connection=local
far ansible_host=127.0.0.1 ansible_port=1
EOF
play() { printf -- '- hosts: %s\n  gather_facts: false\n  tasks:\n    - %s:\n' "$2" "$3" >"$work/project/$1.yml"; }
play nobody no_such_group ansible.builtin.ping
play unreachable far ansible.builtin.ping
play broken near no_such_module
cat >"$work/try.py" <<'EOF'
import sys

import ansible_runner

seen = {}
for name in ("nobody", "unreachable", "broken"):
    run = ansible_runner.run(private_data_dir=sys.argv[1], playbook=f"{name}.yml", quiet=True, ident=name)
    hosts = None if run.stats is None else sorted(run.stats["processed"])
    seen[name] = (run.status, run.rc, hosts)
    print(f"{name}: {run.status}, rc {run.rc}, hosts in the statistics: {hosts}")
if seen != {"nobody": ("successful", 0, []), "unreachable": ("failed", 4, ["far"]), "broken": ("failed", 4, None)}:
    sys.exit("CHANGED")
print("as described")
EOF
ANSIBLE_HOME="$work/home" PATH="$work/venv/bin:$PATH" "$work/venv/bin/python" "$work/try.py" "$work"
