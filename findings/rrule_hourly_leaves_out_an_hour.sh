#!/usr/bin/env bash
# An hourly recurrence of python-dateutil leaves out an hour of the night when clocks go back.
#
# Versions: python-dateutil 2.9.0.post0 and 4.0.0 (with six 1.17.0 and tzdata 2026.6).
# Expected: FREQ=HOURLY with a time zone is every hour, 60 minutes apart, whatever the clocks do.
# Seen:     both step along the clock's face: 02:30 comes once, then 03:30, and two hours passed. In spring the
#           missing 02:30 is given, so two occurrences are the same moment (2.9) or are so with 03:30 (4.0).
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/try.py" <<'EOF'
from datetime import timezone
from itertools import pairwise

from dateutil.rrule import rrulestr


def minutes_between(start: str) -> list[int]:
    """The real minutes from one occurrence to the next."""
    times = [time.astimezone(timezone.utc) for time in rrulestr(f"DTSTART;TZID=Europe/Berlin:{start}\nRRULE:FREQ=HOURLY;COUNT=5")]
    return [int((later - sooner).total_seconds() // 60) for sooner, later in pairwise(times)]


print(minutes_between("20261025T003000"), minutes_between("20260329T003000"))
EOF
for version in 2.9.0.post0 4.0.0; do
    python3 -m venv "$work/$version"
    "$work/$version/bin/pip" install --quiet --disable-pip-version-check \
        "python-dateutil==$version" six==1.17.0 tzdata==2026.6
    seen=$("$work/$version/bin/python" "$work/try.py")
    echo "python-dateutil $version, minutes between occurrences in autumn and in spring: $seen"
    case "$seen" in
        "[60, 60, 120, 60] "*0*) ;;
        *)
            echo "CHANGED" >&2
            exit 1
            ;;
    esac
done
echo "as described"
