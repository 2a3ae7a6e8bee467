#!/usr/bin/env bash
# croniter and cronsim read the same cron line as different days, and run a nightly job twice or once when clocks go back.
#
# Versions: croniter 7.0.0, cronsim 2.8.
# Expected: "0 0 */2 * 1" and "30 2 * * *" mean the same times to two libraries that both say they follow cron.
# Seen:     for the first line croniter takes "every other day, or Monday", cronsim "every other day that is a Monday".
#           On the night when 02:30 comes twice, croniter runs the second line twice and cronsim once.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check croniter==7.0.0 cronsim==2.8 tzdata==2026.6

cat >"$work/try.py" <<'EOF'
import sys
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim

BERLIN = ZoneInfo("Europe/Berlin")


def with_croniter(line: str, start: datetime, count: int) -> list[datetime]:
    times = croniter(line, start)
    return [times.get_next(datetime) for _ in range(count)]


def with_cronsim(line: str, start: datetime, count: int) -> list[datetime]:
    times = CronSim(line, start)
    return [next(times) for _ in range(count)]


january = datetime(2026, 1, 1, tzinfo=BERLIN)
days = [[time.day for time in times("0 0 */2 * 1", january, 3)] for times in (with_croniter, with_cronsim)]
print(f"0 0 */2 * 1 from 1 January 2026: croniter on days {days[0]}, cronsim on days {days[1]}")

evening = datetime(2026, 10, 24, 12, tzinfo=BERLIN)
until = evening + timedelta(days=1)
nights = [
    [time.isoformat() for time in times("30 2 * * *", evening, 3) if time < until] for times in (with_croniter, with_cronsim)
]
print(f"30 2 * * * in the night to 25 October 2026: croniter {nights[0]}, cronsim {nights[1]}")

if days != [[3, 5, 7], [5, 19, 9]] or [len(times) for times in nights] != [2, 1]:
    sys.exit("CHANGED")
print("as described")
EOF
"$work/venv/bin/python" "$work/try.py"
