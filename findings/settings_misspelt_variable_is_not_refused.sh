#!/usr/bin/env bash
# pydantic-settings with extra="forbid" refuses a misspelt setting in a .env file and ignores it in the environment.
#
# Versions: pydantic-settings 2.16.3, pydantic 2.14.4, python-dotenv 1.2.4.
# Expected: extra="forbid" with a prefix refuses APP_PROT (for APP_PORT) wherever it stands.
# Seen:     in the file it is refused; in the environment the program starts with the default port. Names of variables
#           are lower-cased even where they are keys of a dictionary: APP_LABELS__DataCenter becomes `datacenter`.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    pydantic-settings==2.16.3 pydantic==2.14.4 python-dotenv==1.2.4

cat >"$work/try.py" <<'EOF'
import os
import sys
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

work = Path(sys.argv[1])


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="APP_", env_nested_delimiter="__", extra="forbid")
    port: int = 8000
    labels: dict[str, str] = {}


def started(**source) -> str:
    try:
        return f"port {Settings(**source).port}"
    except ValidationError as error:
        return error.errors()[0]["type"]


misspelt = work / "misspelt.env"
misspelt.write_text("APP_PROT=9000\n")
in_file = started(_env_file=misspelt)
os.environ["APP_PROT"] = "9000"
in_environment = started()
os.environ["APP_LABELS__DataCenter"] = "north"
labels = Settings().labels
print(f"APP_PROT in a file: {in_file}; in the environment: {in_environment}; labels {labels}")
if (in_file, in_environment, labels) != ("extra_forbidden", "port 8000", {"datacenter": "north"}):
    sys.exit("CHANGED")
print("as described")
EOF
"$work/venv/bin/python" "$work/try.py" "$work"
