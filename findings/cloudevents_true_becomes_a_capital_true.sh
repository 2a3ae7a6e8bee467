#!/usr/bin/env bash
# A boolean attribute of a CloudEvent goes out as "True" in HTTP headers, though the format has only true and false.
#
# Versions: cloudevents 2.2.0.
# Expected: binary and structured mode carry the same event; CloudEvents 1.0 says that Boolean is written "true" or "false".
# Seen:     in structured mode the attribute is true; in binary mode the header is `ce-rescued: True`, and a receiver
#           that follows the specification reads the text "True", not true.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check cloudevents==2.2.0

cat >"$work/try.py" <<'EOF'
import json
import sys

from cloudevents.core.bindings.http import from_http_event, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

event = CloudEvent({"id": "1", "source": "/healing", "type": "example.healed", "specversion": "1.0", "rescued": True}, {"n": 1})
structured = json.loads(to_structured_event(event).body)["rescued"]
binary = to_binary_event(event)
read_back = from_http_event(binary).get_extension("rescued")
print(f"structured: {structured!r}, header: {binary.headers['ce-rescued']!r}, read back: {read_back!r}")
if (structured, binary.headers["ce-rescued"], read_back) != (True, "True", "True"):
    sys.exit("CHANGED")
print("as described")
EOF
"$work/venv/bin/python" "$work/try.py"
