#!/usr/bin/env bash
# Of two gauges named disk.used and disk_used, Prometheus 2 stores one, and its target is up without an error.
#
# Versions: prometheus-client 0.26.0; prometheus and promtool of Debian 12's prometheus 2.42.0+ds-5+deb12u1 (fetched, not
#           installed).
# Expected: the name with a dot is refused, or clashes with the other when it is registered.
# Seen:     both register. To a scraper that does not ask for UTF-8 names both are disk_used: Prometheus keeps the first
#           value, drops the second, and shows `up` 1 and no scrape error; promtool refuses the page.
# Exits with 0 while this is so, with another code when it is not or could not be tried (it needs Debian's apt and dpkg-deb).
set -euo pipefail
work=$(mktemp -d)
started=()
trap '[ "${#started[@]}" -eq 0 ] || kill "${started[@]}" || true; rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check prometheus-client==0.26.0
cd "$work"
apt-get download -qq prometheus=2.42.0+ds-5+deb12u1 2>"$work/log" || { cat "$work/log" >&2; exit 2; }
dpkg-deb --extract "$work"/prometheus_*.deb "$work/debian"

cat >"$work/exporter.py" <<'EOF'
import sys
import time

from prometheus_client import CollectorRegistry, Gauge, start_http_server

registry = CollectorRegistry()
for value, name in enumerate(("disk.used", "disk_used", "other"), start=1):
    Gauge(name, "A number.", registry=registry).set(value)
start_http_server(int(sys.argv[1]), addr="127.0.0.1", registry=registry)
time.sleep(120)
EOF
cat >"$work/try.py" <<'EOF'
import json
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

exporter, prometheus, promtool = sys.argv[1:]


def ask(path: str, **query: str):
    address = f"http://127.0.0.1:{prometheus}/api/v1/{path}?{urllib.parse.urlencode(query)}"
    return json.load(urllib.request.urlopen(address))["data"]


def value(expression: str) -> str:
    return ",".join(series["value"][1] for series in ask("query", query=expression)["result"])


for _ in range(150):
    try:
        if value("other") == "3":
            break
    except urllib.error.URLError:
        pass
    time.sleep(0.2)
page = urllib.request.urlopen(f"http://127.0.0.1:{exporter}/metrics").read()
checked = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True)
error = ask("targets")["activeTargets"][0]["lastError"]
up, stored = value("up"), value('{__name__=~"disk.*"}')
print(f"exposed 1 and 2, stored {stored}; up {up}, scrape error {error!r}; promtool: {checked.stderr.decode().strip()}")
if (up, stored, error) != ("1", "1", "") or b"second HELP line" not in checked.stderr:
    sys.exit("CHANGED")
print("as described")
EOF
free_port() {
    "$work/venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
exporter=$(free_port)
prometheus=$(free_port)
cat >"$work/prometheus.yml" <<EOF
global: {scrape_interval: 1s}
scrape_configs: [{job_name: example, static_configs: [{targets: ["127.0.0.1:$exporter"]}]}]
EOF
"$work/venv/bin/python" "$work/exporter.py" "$exporter" &
started+=("$!")
"$work/debian/usr/bin/prometheus" --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/data" \
    --web.listen-address="127.0.0.1:$prometheus" 2>"$work/log" &
started+=("$!")
"$work/venv/bin/python" "$work/try.py" "$exporter" "$prometheus" "$work/debian/usr/bin/promtool"
