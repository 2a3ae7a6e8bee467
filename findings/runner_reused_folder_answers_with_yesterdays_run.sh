#!/usr/bin/env bash
# A second run in the same folder of ansible-runner has the first run's variables and, with its ident, the first run's events.
#
# Versions: ansible-runner 2.4.3, ansible-core 2.19.14.
# Expected: run() does what its arguments say; events of the Runner it returns are those of this run.
# Seen:     extravars of the first call were written to env/extravars and are applied when the second call gives none. With
#           the same ident the events of both runs come as one stream, two closing statistics among them: who takes the
#           first one reads what became of yesterday's run.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check ansible-runner==2.4.3 ansible-core==2.19.14

mkdir -p "$work/run/project" "$work/run/inventory"
echo "target ansible_connection=local" >"$work/run/inventory/hosts"
cat >"$work/run/project/play.yml" <<'EOF'
- hosts: target
  gather_facts: false
  tasks:
    - ansible.builtin.fail: {msg: asked to fail}
      when: mode | default('careful') == 'fail'
    - ansible.builtin.debug: {msg: "{{ mode | default('careful') }}"}
EOF
cat >"$work/try.py" <<'EOF'
import sys

import ansible_runner


def run(**arguments):
    return ansible_runner.run(private_data_dir=sys.argv[1], playbook="play.yml", quiet=True, **arguments)


first = run(ident="first", extravars={"mode": "fail"})
second = run(ident="second")
same = run(ident="first", extravars={"mode": "careful"})
ends = [dict(event["event_data"]["failures"]) for event in same.events if event["event"] == "playbook_on_stats"]
print(f"asked to fail: {first.status}; second call without variables: {second.status}")
print(f"third call, asked not to fail, ident of the first: {same.status}, failures of its closing statistics: {ends}")
if (first.status, second.status, same.status) != ("failed", "failed", "successful"):
    sys.exit("CHANGED")
if sorted(map(len, ends)) != [0, 1]:
    sys.exit("CHANGED")
print("as described")
EOF
ANSIBLE_HOME="$work/home" PATH="$work/venv/bin:$PATH" "$work/venv/bin/python" "$work/try.py" "$work/run"
