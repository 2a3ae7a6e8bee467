#!/usr/bin/env bash
# Ansible's recap counts a rescued include as failed, and a host that never answered as ok.
#
# Versions: ansible-core 2.19.14 (and 2.21.5, where `python3` is 3.12 or newer).
# Expected: failed=1 when the play failed for a host, rescued=1 when a rescue block saved it, unreachable=1 when the host was
#           unreachable.
# Seen:     include_tasks of a missing file in a block with rescue: the play goes on, exit code 0, failed=1 rescued=0.
#           An unreachable host with ignore_unreachable: exit code 0, ok=2 unreachable=0 ignored=1. Whoever decides by
#           the recap takes a healed target for a failed one, and one that never answered for a healthy one.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/include.yml" <<'EOF'
- hosts: target
  gather_facts: false
  tasks:
    - block:
        - ansible.builtin.include_tasks: missing.yml
      rescue:
        - ansible.builtin.debug: {msg: rescued}
    - ansible.builtin.debug: {msg: the play went on}
EOF
cat >"$work/unreachable.yml" <<'EOF'
- hosts: target
  gather_facts: false
  tasks:
    - ansible.builtin.ping:
      ignore_unreachable: true
      vars: {ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 1}
    - ansible.builtin.debug: {msg: the play went on}
EOF
cd "$work"
recap() {
    local code=0
    ANSIBLE_HOME="$work/home" "$work/venv/bin/ansible-playbook" -i target, -c local "$1.yml" >"$work/out" 2>&1 || code=$?
    echo "exit $code, $(sed -nE 's/^target +: +(.*[^ ]) *$/\1/p' "$work/out" | tr -s ' ')"
}
versions=(2.19.14)
if python3 -c 'import sys; sys.exit(sys.version_info < (3, 12))'; then versions+=(2.21.5); fi
for version in "${versions[@]}"; do
    rm -rf "$work/venv"
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check "ansible-core==$version"
    include=$(recap include)
    unreachable=$(recap unreachable)
    printf '%s, missing include, rescued: %s\n%s, ignored unreachable: %s\n' "$version" "$include" "$version" "$unreachable"
    if [ "$include" != "exit 0, ok=2 changed=0 unreachable=0 failed=1 skipped=0 rescued=0 ignored=0" ] ||
        [ "$unreachable" != "exit 0, ok=2 changed=0 unreachable=0 failed=0 skipped=0 rescued=0 ignored=1" ]; then
        echo "CHANGED" >&2
        exit 1
    fi
done
echo "as described"
