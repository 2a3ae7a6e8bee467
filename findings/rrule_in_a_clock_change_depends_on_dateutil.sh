#!/usr/bin/env bash
# python-dateutil 2.9 and 4.0 put the same recurring time an hour apart on the day when clocks go forward.
#
# Versions: python-dateutil 2.9.0.post0 and 4.0.0 (with six 1.17.0 and tzdata 2026.6).
# Expected: a rule with DTSTART;TZID=… gives the same moments in both, as RFC 5545 (3.3.5) says which moment a local time
#           in the gap is.
# Seen:     02:30 on 29 March 2026 in Berlin, which does not exist, is 00:30 UTC in 2.9 and 01:30 UTC in 4.0. Whoever
#           depends on "python-dateutil>=2.9" gets the one or the other by what else is installed.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/try.py" <<'EOF'
from datetime import timezone

from dateutil.rrule import rrulestr

RULE = "DTSTART;TZID=Europe/Berlin:20260328T023000\nRRULE:FREQ=DAILY;COUNT=3"
print(" ".join(time.astimezone(timezone.utc).strftime("%d.%H:%M") for time in rrulestr(RULE)))
EOF
seen=()
for version in 2.9.0.post0 4.0.0; do
    python3 -m venv "$work/$version"
    "$work/$version/bin/pip" install --quiet --disable-pip-version-check \
        "python-dateutil==$version" six==1.17.0 tzdata==2026.6
    seen+=("$("$work/$version/bin/python" "$work/try.py")")
    echo "python-dateutil $version, days and times in UTC: ${seen[-1]}"
done
if [ "${seen[0]}" != "28.01:30 29.00:30 30.00:30" ] || [ "${seen[1]}" != "28.01:30 29.01:30 30.00:30" ]; then
    echo "CHANGED" >&2
    exit 1
fi
echo "as described"
