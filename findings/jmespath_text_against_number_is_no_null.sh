#!/usr/bin/env bash
# A JMESPath comparison of a text with a number ends the search with an error that is not one of the library's.
#
# Versions: jmespath 1.1.0 (Python), jmespath 0.16.0 (JavaScript).
# Expected: the specification's null for an ordering comparison of anything but two numbers; at least a JMESPathError.
# Seen:     Python: `level > `3`` is null for a list and for true, but a TypeError for "4", and `true` for two texts;
#           contains() of a text and a list is a TypeError, too. JavaScript: true for "4", since it compares as its
#           language does. "level" is "4" wherever a sender writes its numbers as texts, as labels always are.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check jmespath==1.1.0
cd "$work"
npm install --silent --no-audit --no-fund jmespath@0.16.0 >/dev/null

cat >try.py <<'EOF'
import jmespath
from jmespath.exceptions import JMESPathError

for expression, body in [
    ("level > `3`", {"level": [4]}),
    ("level > `3`", {"level": True}),
    ("level > `3`", {"level": "4"}),
    ("level > '3'", {"level": "4"}),
    ("contains(level, tags)", {"level": "4", "tags": ["4"]}),
]:
    try:
        print(f"{expression} of {body}: {jmespath.search(expression, body)}")
    except JMESPathError:
        print(f"{expression} of {body}: an error of JMESPath")
    except TypeError:
        print(f"{expression} of {body}: TypeError")
EOF
cat >try.js <<'EOF'
const { search } = require("jmespath");
console.log(`level > \`3\` of "4", in JavaScript: ${search({ level: "4" }, "level > `3`")}`);
EOF
{ venv/bin/python try.py; node try.js; } | tee seen
cat >expected <<'EOF'
level > `3` of {'level': [4]}: None
level > `3` of {'level': True}: None
level > `3` of {'level': '4'}: TypeError
level > '3' of {'level': '4'}: True
contains(level, tags) of {'level': '4', 'tags': ['4']}: TypeError
level > `3` of "4", in JavaScript: true
EOF
cmp -s seen expected || { echo "CHANGED" >&2; exit 1; }
echo "as described"
