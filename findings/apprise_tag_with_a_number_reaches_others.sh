#!/usr/bin/env bash
# A tag "user:17" of Apprise also reaches targets with the tag "user:42".
#
# Versions: apprise 2.3.0.
# Expected: tags are names, so a message to "user:17" goes to that target only.
# Seen:     a number behind a colon is a count of retries, so both targets have the tag "user", and both get the message.
#           A number before a colon is a priority, so of "1:ops" and "2:ops" only the first hears of a message to "ops".
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check apprise==2.3.0

cat >"$work/try.py" <<'EOF'
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import apprise

received = []


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        received.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()


def reached(targets: dict[str, str], tag: str) -> list[str]:
    """The paths that a message to `tag` arrives at; `targets` is path: tag."""
    received.clear()
    notifier = apprise.Apprise()
    for path, its_tag in targets.items():
        notifier.add(f"json://127.0.0.1:{server.server_port}/{path}", tag=its_tag)
    notifier.notify(body="a service is down", tag=tag)
    return sorted(received)


by_name = reached({"alice": "user-a", "bob": "user-b"}, "user-a")
by_number = reached({"alice": "user:17", "bob": "user:42"}, "user:17")
prioritised = reached({"first": "1:ops", "second": "2:ops"}, "ops")
print(f"to user-a: {by_name}; to user:17: {by_number}; to ops of 1:ops and 2:ops: {prioritised}")
if (by_name, by_number, prioritised) != (["/alice"], ["/alice", "/bob"], ["/first"]):
    sys.exit("CHANGED")
print("as described")
EOF
"$work/venv/bin/python" "$work/try.py"
