#!/usr/bin/env bash
# A rule test that expects no alert also passes when it names an alert that does not exist.
#
# Versions: promtool of Debian 12's prometheus 2.42.0+ds-5+deb12u1 (fetched, not installed).
# Expected: `alertname: ServiceDwon` in a test is reported, as no rule has that name.
# Seen:     "SUCCESS". After an alert is renamed, each test that it must *not* fire goes on passing and tests nothing.
# Exits with 0 while this is so, with another code when it is not or could not be tried (it needs Debian's apt and dpkg-deb).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cd "$work"
apt-get download -qq prometheus=2.42.0+ds-5+deb12u1 2>"$work/log" || { cat "$work/log" >&2; exit 2; }
dpkg-deb --extract "$work"/prometheus_*.deb "$work/debian"

cat >"$work/rules.yml" <<'EOF'
groups:
  - name: services
    rules:
      - alert: ServiceDown
        expr: up == 0
EOF
outcome() {
    cat >"$work/test.yml" <<EOF
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series: [{series: 'up{job="shop"}', values: '0 0 0'}]
    alert_rule_test:
      - {eval_time: 1m, alertname: $1, exp_alerts: []}
EOF
    if "$work/debian/usr/bin/promtool" test rules "$work/test.yml" >/dev/null 2>&1; then echo passes; else echo fails; fi
}
right=$(outcome ServiceDown)
misspelt=$(outcome ServiceDwon)
echo "a test that a firing alert is silent: ServiceDown $right, ServiceDwon $misspelt"
if [ "$right $misspelt" != "fails passes" ]; then
    echo "CHANGED" >&2
    exit 1
fi
echo "as described"
