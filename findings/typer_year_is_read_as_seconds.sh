#!/usr/bin/env bash
# `--since 2026` of a Typer command is 1970, and so is any number where pydantic expects a time.
#
# Versions: typer 0.29.2 with pydantic 2.14.4; typer 0.15.4 (with click 8.1.8) for comparison.
# Expected: the option of type datetime takes dates and times and refuses "2026" and "20260101", as it did.
# Seen:     Typer now reads values with pydantic, for which a bare number is seconds since 1970: "2026" is 00:33:46 on
#           1 January 1970, "20260101" is a day in August 1970, both with exit code 0. A list "since 2026" shows all there
#           is. The date with hyphens has no time zone, the number has UTC.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/try.py" <<'EOF'
from datetime import datetime
from typing import Annotated

import typer


def show(since: Annotated[datetime, typer.Option()]) -> None:
    print(since.isoformat())


typer.run(show)
EOF
python3 -m venv "$work/new"
"$work/new/bin/pip" install --quiet --disable-pip-version-check typer==0.29.2 pydantic==2.14.4
python3 -m venv "$work/old"
"$work/old/bin/pip" install --quiet --disable-pip-version-check typer==0.15.4 click==8.1.8

for since in 2026 20260101 2026-01-01; do
    old=$("$work/old/bin/python" "$work/try.py" --since "$since" 2>/dev/null || echo refused)
    new=$("$work/new/bin/python" "$work/try.py" --since "$since" 2>/dev/null || echo refused)
    echo "--since $since: typer 0.15.4 $old, typer 0.29.2 $new"
    case "$since $old $new" in
        "2026 refused 1970-01-01T00:33:46+00:00") ;;
        "20260101 refused 1970-08-23T11:48:21+00:00") ;;
        "2026-01-01 2026-01-01T00:00:00 2026-01-01T00:00:00") ;;
        *)
            echo "CHANGED" >&2
            exit 1
            ;;
    esac
done
echo "as described"
