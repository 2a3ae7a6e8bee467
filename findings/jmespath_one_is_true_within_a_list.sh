#!/usr/bin/env bash
# To JMESPath's library 1 is not true, but a list with 1 in it equals a list with true in it, and contains true.
#
# Versions: jmespath 1.1.0 (Python), jmespath 0.16.0 (JavaScript).
# Expected: JSON's types decide at every depth, as in JavaScript; to_number() takes what JSON calls a number.
# Seen:     `level == `true`` of 1 is false; `[level] == [`true`]` and `contains([level], `true`)` are true.
#           to_number('1_000') is 1000, to_number('nan') a number that equals nothing; JavaScript has null for both, but
#           16 for '0x10', where Python has null.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check jmespath==1.1.0
cd "$work"
npm install --silent --no-audit --no-fund jmespath@0.16.0 >/dev/null

cat >expressions.json <<'EOF'
["level == `true`", "[level] == [`true`]", "contains([level], `true`)", "to_number('1_000')", "to_number('nan')", "to_number('0x10')"]
EOF
cat >try.py <<'EOF'
import json

import jmespath

for expression in json.load(open("expressions.json")):
    print(f"{expression}: {json.dumps(jmespath.search(expression, {'level': 1}))}")
EOF
cat >try.js <<'EOF'
const { search } = require("jmespath");
for (const expression of require("./expressions.json"))
  console.log(`${expression}: ${JSON.stringify(search({ level: 1 }, expression))}`);
EOF
venv/bin/python try.py | tee python
echo "-- JavaScript"
node try.js | tee javascript
cut -d: -f2 python | tr -d '\n' >seen
cut -d: -f2 javascript | tr -d '\n' >>seen
if [ "$(cat seen)" != " false true true 1000 NaN null false false false null null 16" ]; then
    echo "CHANGED" >&2
    exit 1
fi
echo "as described"
