#!/usr/bin/env bash
# A templated webhook payload of Alertmanager turns an alert's texts into numbers, booleans and objects.
#
# Versions: Alertmanager 0.35.0, built with Go from its module.
# Expected: payload: {text: "{{ .CommonAnnotations.summary }}"} sends the annotation as the text it is.
# Seen:     what the template gives is read as YAML once more: "no" arrives as false, "007" as 7 and
#           "Disk full: 95%" as an object with the key "Disk full". A receiver that expects a text refuses the message.
#           `{{ … | toJson }}` keeps the text.
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
route: {receiver: hook, group_by: [alertname], group_wait: 1s}
receivers:
  - name: hook
    webhook_configs:
      - url: "http://127.0.0.1:$receiver/"
        payload:
          text: "{{ .CommonAnnotations.summary }}"
          kept: "{{ .CommonAnnotations.summary | toJson }}"
EOF
cat >"$work/try.py" <<'EOF'
import json
import sys
import threading
import time
import urllib.error
import urllib.request
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

texts = ["no", "007", "Disk full: 95%", "Disk is full"]
ask("alerts", [{"labels": {"alertname": f"A{n}"}, "annotations": {"summary": text}} for n, text in enumerate(texts)])
for _ in range(100):
    if len(received) == len(texts):
        break
    time.sleep(0.1)
seen = {body["kept"]: body["text"] for body in received}
print("; ".join(f"{text!r} arrives as {seen[text]!r}" for text in texts))
if seen != {"no": False, "007": 7, "Disk full: 95%": {"Disk full": "95%"}, "Disk is full": "Disk is full"}:
    sys.exit("CHANGED")
print("as described")
EOF
"$work/alertmanager" --config.file="$work/alertmanager.yml" --storage.path="$work/data" \
    --web.listen-address="127.0.0.1:$port" --cluster.listen-address= 2>"$work/log" &
server=$!
python3 "$work/try.py" "$port" "$receiver"
