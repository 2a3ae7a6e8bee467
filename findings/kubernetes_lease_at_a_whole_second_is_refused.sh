#!/usr/bin/env bash
# A Lease whose renewTime is a whole second, as the Python client writes it, cannot be read by Kubernetes' own Go type.
#
# Versions: kubernetes 37.0.1 (Python), k8s.io/apimachinery v0.37.0 (Go, needs Go 1.26).
# Expected: whatever datetime one puts into V1LeaseSpec.renew_time arrives.
# Seen:     the client writes isoformat(), which leaves out microseconds that are zero; MicroTime, the API server's type,
#           demands six digits: `cannot parse "+00:00" as ".000000"`. With datetime.now() about one renewal in a million
#           fails, with replace(microsecond=0), as used for readable logs, each one does. metav1.Time reads both forms.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check kubernetes==37.0.1 pydantic==2.14.4

cat >"$work/write.py" <<'EOF'
from datetime import UTC, datetime

from kubernetes import client

for microsecond in (0, 123000):
    lease = client.V1Lease(spec=client.V1LeaseSpec(renew_time=datetime(2026, 6, 1, 8, 0, 0, microsecond, tzinfo=UTC)))
    print(client.ApiClient().sanitize_for_serialization(lease)["spec"]["renewTime"])
EOF
cat >"$work/go.mod" <<'EOF'
module example

go 1.24
EOF
cat >"$work/main.go" <<'EOF'
package main

import (
	"encoding/json"
	"fmt"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func readable(err error) string {
	if err != nil {
		return "refused"
	}
	return "read"
}

func main() {
	for _, written := range os.Args[1:] {
		text, _ := json.Marshal(written)
		var micro metav1.MicroTime
		var whole metav1.Time
		fmt.Println(written, "MicroTime", readable(json.Unmarshal(text, &micro)), "Time", readable(json.Unmarshal(text, &whole)))
	}
}
EOF
mapfile -t written < <("$work/venv/bin/python" "$work/write.py")
cd "$work"
go get k8s.io/apimachinery/pkg/apis/meta/v1@v0.37.0 2>"$work/log" || { cat "$work/log" >&2; exit 2; }
seen=$(go run . "${written[@]}")
echo "$seen"
expected="2026-06-01T08:00:00+00:00 MicroTime refused Time read
2026-06-01T08:00:00.123000+00:00 MicroTime read Time read"
if [ "$seen" != "$expected" ]; then
    echo "CHANGED" >&2
    exit 1
fi
echo "as described"
