#!/usr/bin/env bash
# The event of a failed loop item does not say that the failure is ignored.
#
# Versions: ansible-runner 2.4.3, ansible-core 2.19.14.
# Expected: runner_item_on_failed has `ignore_errors`, as runner_on_failed has for a task without a loop.
# Seen:     the item's event has no such key; only the event that closes the task, one or many items later, has it true. A
#           live view or an alert on failed events shows a failure that the playbook had expected.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check ansible-runner==2.4.3 ansible-core==2.19.14

mkdir -p "$work/run/project" "$work/run/inventory"
echo "target ansible_connection=local ansible_python_interpreter=$work/venv/bin/python" >"$work/run/inventory/hosts"
cat >"$work/run/project/play.yml" <<'EOF'
- hosts: target
  gather_facts: false
  tasks:
    - ansible.builtin.command: "{{ item }}"
      loop: ["true", "false", "true"]
      ignore_errors: true
    - ansible.builtin.command: "false"
      ignore_errors: true
EOF
cat >"$work/try.py" <<'EOF'
import sys

import ansible_runner

run = ansible_runner.run(private_data_dir=sys.argv[1], playbook="play.yml", quiet=True)
failed = [
    (event["event"], event["event_data"].get("ignore_errors", "no such key"))
    for event in run.events
    if event["event"] in ("runner_item_on_failed", "runner_on_failed")
]
print(f"{run.status}: {failed}")
if failed != [("runner_item_on_failed", "no such key"), ("runner_on_failed", True), ("runner_on_failed", True)]:
    sys.exit("CHANGED")
print("as described")
EOF
ANSIBLE_HOME="$work/home" PATH="$work/venv/bin:$PATH" "$work/venv/bin/python" "$work/try.py" "$work/run"
