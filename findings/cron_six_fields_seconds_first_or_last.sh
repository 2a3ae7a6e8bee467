#!/usr/bin/env bash
# A cron line of six fields has its seconds in front for cronsim and at the end for croniter, and neither objects.
#
# Versions: croniter 7.0.0, cronsim 2.8.
# Expected: a line that both accept means the same, or one of them refuses it.
# Seen:     "0 0 9 * * *" is nine o'clock for cronsim; for croniter it is each second of 00:00 on the ninth of a month.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check croniter==7.0.0 cronsim==2.8

cat >"$work/try.py" <<'EOF'
import sys
from datetime import UTC, datetime

from croniter import croniter
from cronsim import CronSim

LINE = "0 0 9 * * *"
start = datetime(2026, 1, 1, tzinfo=UTC)
sooner = croniter(LINE, start)
croniter_says = [sooner.get_next(datetime).isoformat() for _ in range(2)]
later = CronSim(LINE, start)
cronsim_says = [next(later).isoformat() for _ in range(2)]
print(f"{LINE}: croniter {croniter_says}, cronsim {cronsim_says}")
nine_each_day = ["2026-01-01T09:00:00+00:00", "2026-01-02T09:00:00+00:00"]
seconds_of_the_ninth = ["2026-01-09T00:00:00+00:00", "2026-01-09T00:00:01+00:00"]
if (cronsim_says, croniter_says) != (nine_each_day, seconds_of_the_ninth):
    sys.exit("CHANGED")
print("as described")
EOF
"$work/venv/bin/python" "$work/try.py"
