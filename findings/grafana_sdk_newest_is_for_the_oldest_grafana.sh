#!/usr/bin/env bash
# "grafana-foundation-sdk>=11" installs the package for Grafana 10.1.
#
# Versions: grafana-foundation-sdk 1769699998!10.1.0 and 1769699379!11.6.0, published about ten minutes apart.
# Expected: 11.6.0 is newer than 10.1.0, and ">=11" excludes 10.1.0.
# Seen:     before the number stands an epoch, the time of release in seconds, which decides alone: 10.1.0 was published
#           last. Its dashboards say schemaVersion 36, those of 11.6.0 say 41. "==11.6.0" finds nothing: only a pin with
#           the epoch names a package.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/try.py" <<'EOF'
import json

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

print(json.loads(JSONEncoder().encode(Dashboard("example").build()))["schemaVersion"])
EOF
python3 -m venv "$work/venv"
install() { "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$1"; }
# The upper bound keeps this script from depending on what is published later.
install "grafana-foundation-sdk>=11,<=1769699998!10.1.0"
chosen=$("$work/venv/bin/pip" list --disable-pip-version-check | awk '$1 ~ /^grafana/ { print $2 }')
its_schema=$("$work/venv/bin/python" "$work/try.py")
install "grafana-foundation-sdk==1769699379!11.6.0"
schema=$("$work/venv/bin/python" "$work/try.py")
found=yes
install "grafana-foundation-sdk==11.6.0" >/dev/null 2>&1 || found=no
echo ">=11 installs $chosen with schemaVersion $its_schema; the one for 11.6.0 has $schema; ==11.6.0 found: $found"
if [ "$chosen $its_schema $schema $found" != "1769699998!10.1.0 36 41 no" ]; then
    echo "CHANGED" >&2
    exit 1
fi
echo "as described"
