#!/usr/bin/env bash
# A calendar's shift of DURATION:PT12H lasts eleven hours in the night when clocks go forward.
#
# Versions: recurring-ical-events 3.8.2, icalendar 7.3.2, python-dateutil 2.9.0.post0.
# Expected: PT12H is twelve hours of real time; RFC 5545 (3.3.6) has days and weeks for what follows the clock.
# Seen:     the end is the start's clock time plus twelve: that night's shift is 11 hours, and a shift of one hour at
#           02:30 ends when it starts, or lasts two hours in autumn. Nobody is on call in the hour that is missing.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    recurring-ical-events==3.8.2 icalendar==7.3.2 python-dateutil==2.9.0.post0 tzdata==2026.6

cat >"$work/try.py" <<'EOF'
import sys
from datetime import UTC

import icalendar
import recurring_ical_events


def hours(start: str, duration: str, first: tuple[int, int, int], last: tuple[int, int, int]) -> list[float]:
    """Real hours of each occurrence of a daily event."""
    calendar = icalendar.Calendar.from_ical(
        "\r\n".join(
            (
                "BEGIN:VCALENDAR",
                "VERSION:2.0",
                "PRODID:-//example//EN",
                "BEGIN:VEVENT",
                "UID:shift",
                "DTSTAMP:20260101T000000Z",
                f"DTSTART;TZID=Europe/Berlin:{start}",
                f"DURATION:{duration}",
                "RRULE:FREQ=DAILY;COUNT=3",
                "END:VEVENT",
                "END:VCALENDAR",
                "",
            )
        )
    )
    return [
        (event.end.astimezone(UTC) - event.start.astimezone(UTC)).total_seconds() / 3600
        for event in recurring_ical_events.of(calendar).between(first, last)
    ]


night = hours("20260327T200000", "PT12H", (2026, 3, 27), (2026, 4, 2))
spring = hours("20260328T023000", "PT1H", (2026, 3, 27), (2026, 4, 2))
autumn = hours("20261024T023000", "PT1H", (2026, 10, 23), (2026, 10, 30))
print(f"PT12H from 20:00: {night}; PT1H from 02:30 in spring {spring}, in autumn {autumn}")
if (night, spring, autumn) != ([12, 11, 12], [1, 0, 1], [1, 2, 1]):
    sys.exit("CHANGED")
print("as described")
EOF
"$work/venv/bin/python" "$work/try.py"
