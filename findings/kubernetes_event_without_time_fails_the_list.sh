#!/usr/bin/env bash
# One event with `eventTime: null` makes the Python client refuse the whole answer of the events.k8s.io API.
#
# Versions: kubernetes 37.0.1 with pydantic 2.14.4.
# Expected: EventsV1Event accepts null, as it accepts null or a missing key in most places. API servers answer null there for
#           events that were written through the core API (kubernetes-client/python issue 1616 has it from a real one).
# Seen:     ValidationError for the list; the good event beside it is lost, too. The core API's type accepts the same null:
#           read events with CoreV1Api.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check kubernetes==37.0.1 pydantic==2.14.4

cat >"$work/try.py" <<'EOF'
import json
import sys

from kubernetes import client
from pydantic import ValidationError

reader = client.ApiClient()


def read(items: list[dict], kind: str) -> str:
    answer = json.dumps({"metadata": {}, "items": items})
    try:
        return f"{len(reader.deserialize(answer, kind, 'application/json').items)} events"
    except ValidationError as error:
        return ".".join(str(part) for part in error.errors()[0]["loc"])


about = {"metadata": {"name": "web.1", "namespace": "shop"}, "reason": "BackOff"}
with_time = {**about, "eventTime": "2026-06-01T08:00:00.000000Z"}
without = {**about, "eventTime": None}
good = read([with_time], "EventsV1EventList")
mixed = read([with_time, without], "EventsV1EventList")
core = read([{**event, "involvedObject": {}} for event in (with_time, without)], "CoreV1EventList")
print(f"events.k8s.io with time: {good}; one without: {mixed}; core/v1: {core}")
if (good, core) != ("1 events", "2 events") or "eventTime" not in mixed:
    sys.exit("CHANGED")
print("as described")
EOF
"$work/venv/bin/python" "$work/try.py"
