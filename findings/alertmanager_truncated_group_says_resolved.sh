#!/usr/bin/env bash
# With max_alerts Alertmanager can call a group "resolved" while an alert of it fires.
#
# Versions: Alertmanager 0.35.0, built with Go from its module.
# Expected: max_alerts cuts the list; the body's `status` is that of the group, "firing" as long as one alert fires.
# Seen:     which alerts are kept goes by their labels, resolved ones too, and `status` is computed from what is kept: with
#           max_alerts: 1, once the first of two alerts is resolved, the body says "resolved". The other, which fires, is
#           only a 1 in truncatedAlerts, and no later message brings it.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill "$server" || true; wait "$server" || true; }; rm -rf "$work"' EXIT

cd "$work"
module=$(go mod download -json github.com/prometheus/alertmanager@v0.35.0 | sed -nE 's/^\t"Dir": "(.*)",$/\1/p')
cp -r "$module" "$work/source"
chmod -R u+w "$work/source"
# The module has no built pages, which its program embeds.
mkdir -p "$work/source/ui/app/dist"
touch "$work/source/ui/app/dist/empty"
(cd "$work/source" && go build -o "$work/alertmanager" ./cmd/alertmanager)
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
port=$(free_port)
receiver=$(free_port)

cat >"$work/alertmanager.yml" <<EOF
route: {receiver: hook, group_by: [alertname], group_wait: 1s, group_interval: 2s, repeat_interval: 1h}
receivers:
  - name: hook
    webhook_configs: [{url: "http://127.0.0.1:$receiver/", max_alerts: 1}]
EOF
cat >"$work/try.py" <<'EOF'
import json
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

received = []


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", int(sys.argv[2])), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()

alertmanager = f"http://127.0.0.1:{sys.argv[1]}/api/v2"


def ask(path: str, posted: list[dict] | None = None):
    body = None if posted is None else json.dumps(posted).encode()
    request = urllib.request.Request(f"{alertmanager}/{path}", data=body, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.loads(response.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


for _ in range(100):
    try:
        ask("status")
        break
    except urllib.error.URLError:
        time.sleep(0.1)

def messages(count: int) -> None:
    """Waits until that many arrived."""
    for _ in range(150):
        if len(received) >= count:
            return
        time.sleep(0.1)


ask("alerts", [{"labels": {"alertname": "DiskFull", "instance": instance}} for instance in ("a", "b")])
messages(1)
ask("alerts", [{"labels": {"alertname": "DiskFull", "instance": "a"}, "endsAt": datetime.now(UTC).isoformat()}])
messages(2)
# Two more group intervals, in which the firing alert might still come.
time.sleep(5)
bodies = [
    (body["status"], [alert["labels"]["instance"] for alert in body["alerts"]], body["truncatedAlerts"]) for body in received
]
firing = [alert["labels"]["instance"] for alert in ask("alerts")[1]]
print(f"status, instances and number of cut alerts of each message: {bodies}; firing: {firing}")
if bodies != [("firing", ["a"], 1), ("resolved", ["a"], 1)] or firing != ["b"]:
    sys.exit("CHANGED")
print("as described")
EOF
"$work/alertmanager" --config.file="$work/alertmanager.yml" --storage.path="$work/data" \
    --web.listen-address="127.0.0.1:$port" --cluster.listen-address= 2>"$work/log" &
server=$!
python3 "$work/try.py" "$port" "$receiver"
