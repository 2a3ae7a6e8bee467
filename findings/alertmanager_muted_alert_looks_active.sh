#!/usr/bin/env bash
# Alertmanager's list of alerts calls an alert active that a mute interval keeps from being sent.
#
# Versions: Alertmanager 0.35.0, built with Go from its module.
# Expected: `state: suppressed` and the interval's name in `mutedBy`, as in the list of groups.
# Seen:     GET /api/v2/alerts: `state: active`, `mutedBy: []`, and the muted receiver among its receivers;
#           GET /api/v2/alerts/groups: `suppressed`, `mutedBy: [always]`. A program that reads the first to find what
#           was not delivered opens incidents inside a maintenance window.
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

cat >"$work/alertmanager.yml" <<EOF
route:
  receiver: nobody
  group_wait: 1s
  routes: [{matchers: [service = shop], receiver: muted, mute_time_intervals: [always]}]
receivers: [{name: nobody}, {name: muted}]
time_intervals: [{name: always, time_intervals: [{times: [{start_time: "00:00", end_time: "24:00"}]}]}]
EOF
cat >"$work/try.py" <<'EOF'
import json
import sys
import time
import urllib.error
import urllib.request

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

ask("alerts", [{"labels": {"alertname": "ServiceDown", "service": "shop"}}])
time.sleep(3)
(listed,) = ask("alerts")[1]
((grouped,),) = [group["alerts"] for group in ask("alerts/groups")[1]]
seen = [(alert["status"]["state"], alert["status"]["mutedBy"]) for alert in (listed, grouped)]
print(f"/alerts: {seen[0]}, receivers {[receiver['name'] for receiver in listed['receivers']]}; /alerts/groups: {seen[1]}")
if seen != [("active", []), ("suppressed", ["always"])]:
    sys.exit("CHANGED")
print("as described")
EOF
"$work/alertmanager" --config.file="$work/alertmanager.yml" --storage.path="$work/data" \
    --web.listen-address="127.0.0.1:$port" --cluster.listen-address= 2>"$work/log" &
server=$!
python3 "$work/try.py" "$port"
