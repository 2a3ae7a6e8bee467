#!/usr/bin/env bash
# google-re2 takes `a{,3}` for the five characters "a{,3}"; Python's re takes it for up to three a.
#
# Versions: google-re2 1.1.20251105 and Python's own re.
# Expected: what both accept means the same, and what RE2 does not know is refused, as look-ahead is.
# Seen:     `^v[0-9]{,3}$` is accepted and does not match "v12"; nor does `$` match before a final newline. A pattern that
#           moves from one library to the other without an error may stop matching.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check google-re2==1.1.20251105

cat >"$work/try.py" <<'EOF'
import re
import sys

import re2

CASES = {
    "an open repeat": ("^v[0-9]{,3}$", "v12"),
    "the same as text": ("^a{,3}$", "a{,3}"),
    "a final newline": ("^shop$", "shop\n"),
}
seen = {name: (bool(re.search(*case)), bool(re2.search(*case))) for name, case in CASES.items()}
for name, (with_re, with_re2) in seen.items():
    print(f"{name}, {CASES[name][0]}: re {with_re}, re2 {with_re2}")
if list(seen.values()) != [(True, False), (False, True), (True, False)]:
    sys.exit("CHANGED")
print("as described")
EOF
"$work/venv/bin/python" "$work/try.py"
