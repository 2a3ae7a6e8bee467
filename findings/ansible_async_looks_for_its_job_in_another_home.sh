#!/usr/bin/env bash
# With HOME set to another folder than the account's, an async task on a local connection cannot find its own job.
#
# Versions: ansible-core 2.19.14.
# Expected: one ~/.ansible_async for the job that is started and for the status that is read, wherever HOME points.
# Seen:     the job runs and writes its result below $HOME/.ansible_async; the status is looked for below the home of the
#           account: "could not find job", and the task has failed although its command succeeded.
#           With ANSIBLE_ASYNC_DIR set to a full path both agree.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check ansible-core==2.19.14

cat >"$work/play.yml" <<'EOF'
- hosts: localhost
  gather_facts: false
  connection: local
  vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  tasks:
    - ansible.builtin.command: touch {{ playbook_dir }}/{{ mark }}
      async: 20
      poll: 1
EOF
cd "$work"
mkdir home async
outcome() {
    local code=0
    env "$@" venv/bin/ansible-playbook -i localhost, -e "mark=$mark" play.yml >"out.$mark" 2>&1 || code=$?
    echo "exit $code, $(grep -q "could not find job" "out.$mark" && echo "no job" || echo "a job"), $(find . -name "$mark" | wc -l) done"
}
mark=one other=$(outcome HOME="$work/home")
kept=$(find home/.ansible_async -name 'j*' | wc -l)
mark=two fixed=$(outcome HOME="$work/home" ANSIBLE_ASYNC_DIR="$work/async")
echo "another HOME: $other, $kept result below it; with ANSIBLE_ASYNC_DIR: $fixed"
if [ "$other, $kept" != "exit 2, no job, 1 done, 1" ] || [ "$fixed" != "exit 0, a job, 1 done" ]; then
    echo "CHANGED" >&2
    exit 1
fi
echo "as described"
