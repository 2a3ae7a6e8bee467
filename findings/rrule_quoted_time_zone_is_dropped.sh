#!/usr/bin/env bash
# python-dateutil reads a recurrence whose TZID is in quotes as one without any time zone.
#
# Versions: python-dateutil 2.9.0.post0 and 4.0.0 (with six 1.17.0 and tzdata 2026.6).
# Expected: TZID="Europe/Berlin" is TZID=Europe/Berlin: RFC 5545 (3.2) lets a parameter's value be quoted. Or an error.
# Seen:     the occurrences have no time zone, and so have those of a TZID that does not exist. Stored as UTC, a shift from
#           nine o'clock in Berlin begins one or two hours late.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/try.py" <<'EOF'
from dateutil.rrule import rrulestr

for name in ("Europe/Berlin", '"Europe/Berlin"', "Nowhere/City"):
    (first,) = rrulestr(f"DTSTART;TZID={name}:20260601T090000\nRRULE:FREQ=DAILY;COUNT=1")
    print(name, first.isoformat())
EOF
expected='Europe/Berlin 2026-06-01T09:00:00+02:00
"Europe/Berlin" 2026-06-01T09:00:00
Nowhere/City 2026-06-01T09:00:00'
for version in 2.9.0.post0 4.0.0; do
    python3 -m venv "$work/$version"
    "$work/$version/bin/pip" install --quiet --disable-pip-version-check \
        "python-dateutil==$version" six==1.17.0 tzdata==2026.6
    seen=$("$work/$version/bin/python" "$work/try.py")
    printf 'python-dateutil %s:\n%s\n' "$version" "$seen"
    if [ "$seen" != "$expected" ]; then
        echo "CHANGED" >&2
        exit 1
    fi
done
echo "as described"
