#!/usr/bin/env bash
# What Apprise.notify() returns is true in a condition and yet never equal to True.
#
# Versions: apprise 2.3.0.
# Expected: True or False, or at least something that equals one of them.
# Seen:     an AppriseResult: true or false in a condition, equal to neither True nor False, so that a caller who compares
#           takes every delivery for a failure. No matching target and a partial delivery are both false, too; only
#           `.status` distinguishes them.
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


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(503 if "refuses" in self.path else 200)
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()


def sent_to(*paths: str, tag: str | None = None):
    notifier = apprise.Apprise()
    for path in paths:
        notifier.add(f"json://127.0.0.1:{server.server_port}/{path}", tag="here")
    return notifier.notify(body="a service is down", tag=tag or "here")


delivered, partial, nobody = sent_to("a"), sent_to("a", "refuses"), sent_to("a", tag="elsewhere")
for name, result in (("delivered", delivered), ("partial", partial), ("nobody", nobody)):
    print(f"{name}: bool {bool(result)}, == True {result == True}, == False {result == False}, {result.status.name}")
truth = [bool(result) for result in (delivered, partial, nobody)]
equal = [result == truth_value for result in (delivered, partial, nobody) for truth_value in (True, False)]
names = [result.status.name for result in (delivered, partial, nobody)]
if truth != [True, False, False] or any(equal) or names != ["SUCCESS", "PARTIAL", "NOMATCH"]:
    sys.exit("CHANGED")
print("as described")
EOF
"$work/venv/bin/python" "$work/try.py"
