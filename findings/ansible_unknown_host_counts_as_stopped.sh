#!/usr/bin/env bash
# wait_for with state: stopped is content with a host that does not exist.
#
# Versions: ansible-core 2.19.14.
# Expected: waiting until a port of "shop.invalid" is closed fails, since the name cannot be resolved: nothing is known of it.
# Seen:     ok at once. Any error on connecting counts as "stopped". With state: drained the same name fails with "Name or
#           service not known". A misspelt host makes every "is it down?" succeed.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check ansible-core==2.19.14

cat >"$work/play.yml" <<'EOF'
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.wait_for:
        host: shop.invalid
        port: 80
        state: "{{ state }}"
        timeout: 2
EOF
cd "$work"
outcome() {
    if ANSIBLE_LOCALHOST_WARNING=false ANSIBLE_HOME="$work/home" "$work/venv/bin/ansible-playbook" -i localhost, -c local \
        -e "ansible_python_interpreter=$work/venv/bin/python" -e "state=$1" play.yml >"$work/out" 2>&1; then
        echo ok
    else
        grep -q "Name or service not known" "$work/out" && echo unresolved
    fi
}
stopped=$(outcome stopped)
drained=$(outcome drained)
echo "a host that does not exist, state: stopped: $stopped; state: drained: $drained"
if [ "$stopped $drained" != "ok unresolved" ]; then
    echo "CHANGED" >&2
    exit 1
fi
echo "as described"
