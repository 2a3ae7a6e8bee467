#!/usr/bin/env bash
# Alertmanager answers 400 to a post with one bad alert, and keeps the good alerts of that post.
#
# Versions: Alertmanager 0.35.0, built with Go from its module.
# Expected: 400 means that nothing was taken: the sender repairs the post and sends it again, or gives up.
# Seen:     with one alert without labels between two good ones the answer is 400 "at least one label pair required", and
#           both good ones are active. A sender that counts its alerts as refused is wrong.
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
route: {receiver: nobody}
receivers: [{name: nobody}]
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

status, message = ask("alerts", [{"labels": {"alertname": "First"}}, {"labels": {}}, {"labels": {"alertname": "Third"}}])
kept = sorted(alert["labels"]["alertname"] for alert in ask("alerts")[1])
print(f"answered {status} {message.strip()!r}; alerts afterwards: {kept}")
if (status, kept) != (400, ["First", "Third"]):
    sys.exit("CHANGED")
print("as described")
EOF
"$work/alertmanager" --config.file="$work/alertmanager.yml" --storage.path="$work/data" \
    --web.listen-address="127.0.0.1:$port" --cluster.listen-address= 2>"$work/log" &
server=$!
python3 "$work/try.py" "$port"
