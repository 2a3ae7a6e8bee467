#!/usr/bin/env bash
# An operation without declared responses is documented by flask-openapi3 as one that can answer 422 and nothing else.
#
# Versions: flask-openapi3 4.3.2, Flask 3.1.2, Werkzeug 3.1.9, pydantic 2.14.4.
# Expected: a route that takes no input and always answers 200 has a 200 or a default in the OpenAPI document.
# Seen:     its only response is 422 with a list of validation errors. A test that holds answers against the document calls
#           every good answer undocumented, and a generated client has no type for one. JSON with a fault is 422, too,
#           with `"input": null`, not 400.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    flask-openapi3==4.3.2 flask==3.1.2 werkzeug==3.1.9 pydantic==2.14.4

cat >"$work/try.py" <<'EOF'
import sys

from flask_openapi3 import Info, OpenAPI
from pydantic import BaseModel

app = OpenAPI("example", info=Info(title="example", version="1"))


class Note(BaseModel):
    text: str


@app.get("/alive")
def alive():
    return {"alive": True}


@app.post("/notes")
def add(body: Note):
    return {"text": body.text}


client = app.test_client()
answered = client.get("/alive").status_code
documented = list(app.api_doc["paths"]["/alive"]["get"]["responses"])
broken = client.post("/notes", data='{"text": ', content_type="application/json")
print(f"/alive answered {answered}, documented: {documented}; half a JSON: {broken.status_code}, input {broken.json[0]['input']}")
if (answered, documented, broken.status_code, broken.json[0]["input"]) != (200, ["422"], 422, None):
    sys.exit("CHANGED")
print("as described")
EOF
"$work/venv/bin/python" "$work/try.py"
