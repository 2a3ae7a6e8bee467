#!/usr/bin/env bash
# import-linter keeps a contract that a folder without __init__.py breaks, and one against a package that does not exist.
#
# Versions: import-linter 2.17, grimp 3.20.
# Expected: the contract "nothing in shop imports flask" looks at every module that `import shop.pages.start` can load.
# Seen:     shop/pages without __init__.py imports flask and the contract is kept, as the folder is not read at all; with
#           an empty __init__.py it is broken. A misspelt own module is an error, a misspelt outside package
#           ("flaskk") is a contract that can never break.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check import-linter==2.17 grimp==3.20

mkdir -p "$work/shop/pages"
touch "$work/shop/__init__.py"
echo "import flask" >"$work/shop/pages/start.py"
cd "$work"
outcome() {
    cat >"$work/.importlinter" <<EOF
[importlinter]
root_package = shop
include_external_packages = True
[importlinter:contract:one]
name = no flask
type = forbidden
source_modules =
    $1
forbidden_modules =
    $2
EOF
    if "$work/venv/bin/lint-imports" --no-cache >"$work/out" 2>&1; then echo kept; else
        if grep -q "0 kept, 1 broken" "$work/out"; then echo broken; else echo refused; fi
    fi
}
without=$(outcome shop flask)
touch "$work/shop/pages/__init__.py"
with=$(outcome shop flask)
misspelt_outside=$(outcome shop flaskk)
misspelt_own=$(outcome shopp flask)
echo "without __init__.py: $without, with it: $with; against flaskk: $misspelt_outside, for shopp: $misspelt_own"
if [ "$without $with $misspelt_outside $misspelt_own" != "kept broken kept refused" ]; then
    echo "CHANGED" >&2
    exit 1
fi
echo "as described"
