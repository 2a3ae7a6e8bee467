#!/usr/bin/env bash
# flask-openapi3 documents a header under a name that gunicorn and Flask's own server do not deliver.
#
# Versions: flask-openapi3 4.3.2, Flask 3.1.2, Werkzeug 3.1.9, pydantic 2.14.4, gunicorn 27.0.1.
# Expected: a header model's field `request_key` is documented under the name by which a client can send it.
# Seen:     the document says `request_key`. A client that sends that name gets 422, as both servers drop headers with an
#           underscore; `Request-Key`, which the document does not mention, works. A client made from the document never
#           gets through.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" || true; rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    flask-openapi3==4.3.2 flask==3.1.2 werkzeug==3.1.9 pydantic==2.14.4 gunicorn==27.0.1

cat >"$work/served.py" <<'EOF'
from flask_openapi3 import Info, OpenAPI
from pydantic import BaseModel

app = OpenAPI(__name__, info=Info(title="example", version="1"))


class Headers(BaseModel):
    request_key: str


@app.get("/thing")
def thing(header: Headers):
    return {"key": header.request_key}
EOF
cat >"$work/try.py" <<'EOF'
import json
import sys
import time
import urllib.error
import urllib.request

address = f"http://127.0.0.1:{sys.argv[1]}"


def status(**headers: str) -> int:
    request = urllib.request.Request(f"{address}/thing")
    for name, value in headers.items():
        request.add_unredirected_header(name, value)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


for _ in range(100):
    try:
        document = json.load(urllib.request.urlopen(f"{address}/openapi/openapi.json"))
        break
    except urllib.error.URLError:
        time.sleep(0.1)
documented = [parameter["name"] for parameter in document["paths"]["/thing"]["get"]["parameters"]]
as_documented, with_hyphen = status(request_key="k"), status(**{"Request-Key": "k"})
print(f"{sys.argv[2]}: documented {documented}; request_key: {as_documented}, Request-Key: {with_hyphen}")
if (documented, as_documented, with_hyphen) != (["request_key"], 422, 200):
    sys.exit("CHANGED")
EOF
port=$("$work/venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cd "$work"
"$work/venv/bin/gunicorn" --bind "127.0.0.1:$port" served:app >"$work/log" 2>&1 &
server=$!
"$work/venv/bin/python" "$work/try.py" "$port" gunicorn
kill "$server"
wait "$server" || true
"$work/venv/bin/flask" --app served run --port "$port" >"$work/log" 2>&1 &
server=$!
"$work/venv/bin/python" "$work/try.py" "$port" "Flask's own"
echo "as described"
